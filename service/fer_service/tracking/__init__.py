"""Face tracking over time, and smoothed probabilities."""
