"""Bytes to upright pixels, faces to crops, and boxes drawn into images."""
