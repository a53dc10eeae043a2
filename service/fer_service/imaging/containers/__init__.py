"""Image files without their pixels: the structure of each format, checked against the bytes that are there."""
