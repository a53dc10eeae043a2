"""Resources of the operating system: cores and memory."""
