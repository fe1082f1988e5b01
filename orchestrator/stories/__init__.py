"""Stories and pictures, each from the other, as reference 004 asks for them."""
