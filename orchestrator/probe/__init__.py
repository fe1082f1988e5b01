"""Ask how well one word fits a picture and each of its parts."""
