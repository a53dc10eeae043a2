"""Emotion models: one face in, one probability per class out."""
