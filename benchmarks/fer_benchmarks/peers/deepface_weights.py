"""Random weights for DeepFace's emotion network, which takes the same time with them.

DeepFace would download its own weights. The layers are those of deepface/models/demography/*/Emotion.py, with
channels last at the input, as in its ONNX file.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

EMOTION = "facial_expression_model_weights.onnx"
_PRODUCER = "random-weights"
_CONVOLUTIONS = ((1, 64, 5), (64, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3))
# Pooling after these convolutions: type and kernel size; the stride is 2.
_POOLS = {0: ("MaxPool", 5), 2: ("AveragePool", 3), 4: ("AveragePool", 3)}
_DENSE = ((128, 1024), (1024, 1024), (1024, 7))


def ensure_emotion_weights(path: Path) -> str:
    """Write random weights if the file is missing; return the kind of its weights, "random" or "its own"."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(random_network(), path)
    return "random" if onnx.load(path).producer_name == _PRODUCER else "its own"


def random_network() -> onnx.ModelProto:
    """Return the network with random weights: float32 [N, 48, 48, 1] to probabilities float32 [N, 7]."""
    random = np.random.default_rng(0)
    nodes = [helper.make_node("Transpose", ["input"], ["x0"], perm=[0, 3, 1, 2])]
    weights: list[onnx.TensorProto] = []

    def add(kind: str, *shapes: tuple[int, ...], **attributes: Any) -> None:
        names = [f"w{len(weights) + number}" for number in range(len(shapes))]
        for name, shape in zip(names, shapes, strict=True):
            # He's initialization keeps the values in range; denormal numbers would be slow.
            scale = (2 / np.prod(shapes[0][1:])) ** 0.5
            values = random.normal(0, scale, shape).astype(np.float32)
            weights.append(numpy_helper.from_array(values, name))
        inputs = [f"x{len(nodes) - 1}", *names]
        nodes.append(helper.make_node(kind, inputs, [f"x{len(nodes)}"], **attributes))

    for number, (before, after, side) in enumerate(_CONVOLUTIONS):
        add("Conv", (after, before, side, side), (after,), kernel_shape=[side, side])
        add("Relu")
        if number in _POOLS:
            kind, pool = _POOLS[number]
            add(kind, kernel_shape=[pool, pool], strides=[2, 2])
    add("Flatten")
    for before, after in _DENSE:
        add("Gemm", (after, before), (after,), transB=1)
        add("Relu" if after != _DENSE[-1][1] else "Softmax")
    graph = helper.make_graph(
        nodes,
        "emotion",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 48, 48, 1])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["N", 7])],
        weights,
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, producer_name=_PRODUCER, opset_imports=[opset], ir_version=9)
    onnx.checker.check_model(model)
    return model
