"""Pictures in a row: which face is which, labels that do not flicker, and the newest frame first."""
