"""Face detection: pixels in, faces out."""
