"""Bytes to upright pixels, and faces to crops."""
