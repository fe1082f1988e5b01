"""Pictures like one that is there already."""
