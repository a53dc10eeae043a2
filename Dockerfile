# syntax=docker/dockerfile:1
# Targets: cpu (default), gpu, ray and training. Each one is installed from its own hash-locked requirements.
#
#   docker build --target cpu -t fer-service:cpu .
#   docker build --build-arg DETECTOR=own .                       # only the built-in detector, no download
#   docker build --build-context weights=folder/with/the/file .   # YuNet's weights from a local folder
#
# The base image contains no CUDA. The CUDA libraries are Python wheels; the host provides only the driver.
ARG DETECTOR=yunet

# Placeholder for `--build-context weights=…`. It needs one file because an empty image cannot be copied.
FROM scratch AS weights
COPY requirements/README.md /

FROM python:3.13-slim AS build
# Optional: package mirrors.
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
ENV UV_LINK_MODE=copy UV_NO_PROGRESS=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/build.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /build && /build/bin/python -m pip install --quiet --require-hashes -r requirements/build.txt
ENV PATH=/build/bin:$PATH VIRTUAL_ENV=/opt/fer-service
RUN uv venv --quiet --python /usr/local/bin/python /opt/fer-service
# Tests of the libraries and onnxruntime's converters for language models: 26 MB that the service never reads.
ENV PRUNE="find /opt/fer-service/lib -depth -type d ( -name tests -o -path */onnxruntime/transformers ) -exec rm -r {} +"

FROM build AS cpu-libraries
COPY requirements/cpu.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --quiet --require-hashes --compile-bytecode -r requirements/cpu.txt \
 && $PRUNE

FROM build AS gpu-libraries
COPY requirements/gpu.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --quiet --require-hashes --compile-bytecode -r requirements/gpu.txt \
 && $PRUNE

FROM build AS ray-libraries
COPY requirements/ray.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --quiet --require-hashes --compile-bytecode -r requirements/ray.txt \
 && $PRUNE

FROM build AS training-libraries
COPY requirements/training.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --quiet --require-hashes --compile-bytecode -r requirements/training.txt

# The package has its own stage, so that a code change rebuilds only one small layer.
FROM build AS package
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY benchmarks benchmarks
COPY training training
RUN uv build --quiet --wheel --no-build-isolation --python /build/bin/python --out-dir /wheel . \
 && uv pip install --quiet --no-deps --compile-bytecode --prefix /package /wheel/*.whl

# The service images contain no training code because its libraries are not installed there.
FROM package AS service-package
RUN rm -r /package/bin/fer-train /package/lib/python3*/site-packages/fer_training

# YuNet's weights, from the pinned URL or from `weights`. The SHA-256 is checked in both cases.
FROM cpu-libraries AS detector
ARG DETECTOR
COPY --from=service-package /package /opt/fer-service
COPY --from=weights / /weights/
ENV XDG_CACHE_HOME=/opt/cache
RUN mkdir -p /opt/cache \
 && case "$DETECTOR" in \
      own) ;; \
      yunet) given=/weights/yunet_n_dynamic.onnx; \
             if [ -e "$given" ]; then set -- --from "$given"; fi; \
             /opt/fer-service/bin/fer-service detector pull "$@" || \
               { echo "Without a network: --build-arg DETECTOR=own (only the built-in detector)," \
                      "or --build-context weights=FOLDER with yunet_n_dynamic.onnx" >&2; exit 1; } ;; \
      *) echo "DETECTOR=$DETECTOR is invalid; use yunet or own" >&2; exit 2 ;; \
    esac \
 && chmod -R a+rX /opt/cache

FROM python:3.13-slim AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="fer-service" \
      org.opencontainers.image.description="Finds every face in an image and returns each face's emotion probabilities." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.vendor="The fer-service developers" \
      org.opencontainers.image.base.name="python:3.13-slim" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin fer
ENV PATH=/opt/fer-service/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1
STOPSIGNAL SIGTERM

FROM base AS service
ARG DETECTOR
COPY --from=detector /opt/cache /opt/cache
# A container listens on every address of its own network. Outside a container the default is 127.0.0.1.
ENV FER_HOST=0.0.0.0 FER_PORT=8000 FER_LOG_FORMAT=json FER_DETECTOR=$DETECTOR XDG_CACHE_HOME=/opt/cache
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "fer_service.http.probe"]
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["fer-service"]
CMD ["serve"]

FROM base AS training
COPY --from=training-libraries /opt/fer-service /opt/fer-service
COPY --from=package /package /opt/fer-service
# Named volumes take their owner from these folders. /cache stores downloaded pretrained weights.
RUN install -d -o 10001 -g 10001 /data /runs /cache
ENV XDG_CACHE_HOME=/cache HF_HOME=/cache/huggingface TORCH_HOME=/cache/torch MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
WORKDIR /runs
ENTRYPOINT ["fer-train"]
CMD ["--help"]

FROM service AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-libraries /opt/fer-service /opt/fer-service
COPY --from=service-package /package /opt/fer-service

# For the machines of a Ray cluster (docs/scaling.md). `ray start` and `serve deploy` replace the command.
FROM service AS ray
ENV RAY_USAGE_STATS_ENABLED=0 RAY_USAGE_STATS_REPORT_URL=http://127.0.0.1:9/
COPY --from=ray-libraries /opt/fer-service /opt/fer-service
COPY --from=service-package /package /opt/fer-service

FROM service AS cpu
COPY --from=cpu-libraries /opt/fer-service /opt/fer-service
COPY --from=service-package /package /opt/fer-service
