"""Train the networks that the service uses, and export each one as an ONNX file."""

import fer_service  # noqa: F401 (disables the telemetry of onnxruntime; must precede its import)
