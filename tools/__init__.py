"""Documentation generators, and a program that labels training data."""
