"""The same line behind other servers, each as its documentation advises for a machine of few cores.

Every module is a program for an environment of its own, run from the repository's root:
`PORT=8123 python -m fer_benchmarks.peers.litserve_app`. All use the service's own Analyzer with one thread, the
same model, detector and images, so that only what is around the line differs.

`*_product` are other packages that answer the same question, each called in process as its README shows.
"""
