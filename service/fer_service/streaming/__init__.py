"""Live streams: the newest frame first."""
