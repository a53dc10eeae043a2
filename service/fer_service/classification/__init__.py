"""Crops to emotion probabilities."""
