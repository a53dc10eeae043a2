"""The command `fer-service`."""
