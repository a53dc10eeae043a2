"""ASGI middlewares, one job each."""
