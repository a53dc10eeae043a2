"""Fine-tune the networks that the service serves, and export them as one ONNX file each."""

import fer_service  # noqa: F401 (what it does about onnxruntime's telemetry has to come before onnxruntime)
