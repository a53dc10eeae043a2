"""How fast this machine serves, against what it could do: kernels, the line without HTTP, and a real server."""
