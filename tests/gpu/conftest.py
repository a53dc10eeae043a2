import onnxruntime
import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where this onnxruntime has none."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return
    for item in items:
        if "gpu" in item.path.parts:
            item.add_marker(pytest.mark.skip(reason="this onnxruntime has no CUDAExecutionProvider"))
