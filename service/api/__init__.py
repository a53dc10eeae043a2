"""HTTP: routes, errors and what stands before them."""
