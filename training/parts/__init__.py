"""One trainer for each part of the family, one file each."""
