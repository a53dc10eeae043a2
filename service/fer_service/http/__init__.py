"""The HTTP API: application, routes, middleware and server process."""
