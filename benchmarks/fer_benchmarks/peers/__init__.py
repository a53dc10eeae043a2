"""Other software for comparison. Each runs in its own virtual environment.

Programs:
    servers   Model servers around the service's own pipeline; the apps are `*_app`.
    products  Packages that predict emotions from images; the subjects are `*_product`.

Parts:
    environments      Creates the virtual environments.
    worker            Runs inside a product's process and measures it. Standard library only.
    worker_process    Starts such a process and sends it commands.
    deepface_weights  Random weights in place of DeepFace's download.

All apps use the service's Analyzer with one thread, the same model, detector and images, and read the same FER_
variables. Only the server around the pipeline differs. Run one by hand, in its environment:
`PORT=8123 python -m fer_benchmarks.peers.litserve_app`.
"""
