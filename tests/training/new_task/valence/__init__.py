"""A task of one folder: how pleasant a face looks, as a number from -1 to 1."""
