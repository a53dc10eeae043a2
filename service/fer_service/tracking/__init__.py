"""Which face is which over time, and smoothed probabilities."""
