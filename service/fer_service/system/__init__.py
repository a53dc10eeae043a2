"""Resources of the operating system: cores, memory, files and child processes."""
