"""Fine-tune the networks that the service serves, and export them as one ONNX file each."""
