"""Pixels to faces."""
