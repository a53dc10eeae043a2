"""What the operating system provides: cores, memory and files."""
