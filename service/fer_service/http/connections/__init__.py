"""The connections below ASGI: what clients may send, how slowly, and how each connection ends."""
