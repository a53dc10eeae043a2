"""One image from bytes to prediction, and many of them at a time."""
