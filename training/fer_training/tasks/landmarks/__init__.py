"""The task `landmarks`: five points of a face, from its crop."""
