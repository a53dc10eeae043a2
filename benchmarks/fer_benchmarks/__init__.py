"""Benchmarks of the service and of the training.

Building blocks:
    images          Test images.
    server_process  A real server in its own process: start, log, CPU, memory, stop.
    service         This service as a server process, started from settings.
    load            Load generator in its own process: closed loop or open loop.
    kernels         CPU milliseconds of decoding, the detector and the classifier alone.
    limit           Images per second of the pipeline without HTTP.
    rounds          Paired rounds of the limit and the server, which cancel drift of the machine.
    benchmark       All of these for one image. It is behind `fer-service benchmark`.
    tables          The report as tables.

Programs, run with `python -m fer_benchmarks.NAME`:
    serving         The benchmark for five test images, with a plot.
    stream          Frames per second and latency of /stream.
    memory          Growth of the server's memory over many requests.
    gpu             Images per second on a GPU: sessions, batcher, HTTP.
    training_speed  Share of a training step that the network takes.
    recall          Faces that each detector finds, and its cost.
    scales          Recall and cost of detection at several scales.
    orientations    Turned portraits: faces found, and the cost.
    quality         What the quality flags say about the answers.
    groups          Answers on portraits, by groups of people.
    options         CPU time of each kind of request.
    decode_memory   Peak memory of decoding, compared with the estimates.
    scaling         `predict` and `batch` over many images, compared with the service.
    crop_frame      Detector boxes compared with FER-2013's framing.
    peers.servers   Other model servers around the same pipeline.
    peers.products  The packages `fer` and DeepFace.
"""
