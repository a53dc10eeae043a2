"""A graph that computes in half precision where it is heavy, and a twin that shows anywhere what that costs."""

import tempfile
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.onnx_model import OnnxModel

_HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def to_fp16(source: Path, out: Path, rounded: Path) -> None:
    """Let a bundle's network compute in half precision, and all around it in single.

    In fp32 stay what comes before the first convolution, where squares of levels leave half precision's range, and
    the last dense layer with all after it: logits, temperature and softmax.

    Args:
        source: A bundle with fp32 weights.
        out: The file to write; its metadata is still the source's.
        rounded: The twin to write: fp32 with every weight and every value between two nodes rounded to half
            precision. That is what a GPU computes, which multiplies halves and adds in fp32. A CPU without half
            precision runs `out` itself with rounded weights alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared)  # folds the batch norms while they are still fp32
        converted = OnnxModel(onnx.load(prepared))
        converted.convert_float_to_float16(
            keep_io_types=True, op_block_list=[], node_block_list=sorted(_delicate(converted.model.graph))
        )
        _once(converted.model.graph)
        converted.topological_sort()
        onnx.save(_rounded(onnx.load(prepared), converted.model.graph), rounded)
        onnx.save(converted.model, out)


def _once(graph: GraphProto) -> None:
    """Leave one of each cast: the converter adds another for every fp32 node that takes the same half."""
    makers = {node.output[0]: node for node in graph.node}
    del graph.node[:]
    graph.node.extend(makers.values())


def _delicate(graph: GraphProto) -> set[str]:
    """Names of the nodes that have no heavy node at or before them, or none after them."""
    makers = {name: node for node in graph.node for name in node.output}
    reached: set[str] = set()
    for node in graph.node:  # sorted: makers come first
        if node.op_type in _HEAVY or any(makers[name].name in reached for name in node.input if name in makers):
            reached.add(node.name)
    leading: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type in _HEAVY or node.name in leading:
            leading.update(makers[name].name for name in node.input if name in makers)
    return {node.name for node in graph.node if node.name not in reached & leading}


def _rounded(model: ModelProto, converted: GraphProto) -> ModelProto:
    """A graph in fp32 whose values and weights are rounded where its converted form has halves."""
    halves = {
        value.name for value in converted.value_info if value.type.tensor_type.elem_type == TensorProto.FLOAT16
    }
    weights = {tensor.name for tensor in converted.initializer if tensor.data_type == TensorProto.FLOAT16}
    exact = {tensor.name: tensor for tensor in converted.initializer}
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            single = numpy_helper.to_array(exact[tensor.name]).astype("float32")
            tensor.CopyFrom(numpy_helper.from_array(single, tensor.name))
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in halves:
                node.output[index] = f"{name}_exact"
                nodes += [
                    helper.make_node("Cast", [f"{name}_exact"], [f"{name}_half"], to=TensorProto.FLOAT16),
                    helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT),
                ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
