"""Conversion of a bundle to half precision, and an fp32 copy that simulates it on any CPU."""

import tempfile
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.onnx_model import OnnxModel

_HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def to_fp16(source: Path, out: Path, rounded: Path) -> None:
    """Convert a bundle's network to half precision.

    Two parts stay in fp32: the nodes before the first convolution, where squared levels exceed the range of fp16,
    and the last dense layer with all nodes after it (logits, temperature and softmax).

    Args:
        source: Bundle with fp32 weights.
        out: File to write. It keeps the metadata of `source`.
        rounded: Simulation to write: an fp32 graph that rounds every weight and intermediate value to fp16, as a
            GPU does that multiplies in fp16 and accumulates in fp32. A CPU without fp16 only rounds the weights of
            `out`.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared)  # folds the batch norms in fp32
        converted = OnnxModel(onnx.load(prepared))
        converted.convert_float_to_float16(
            keep_io_types=True, op_block_list=[], node_block_list=sorted(_fp32_nodes(converted.model.graph))
        )
        _remove_duplicate_casts(converted.model.graph)
        converted.topological_sort()
        onnx.save(_rounded(onnx.load(prepared), converted.model.graph), rounded)
        onnx.save(converted.model, out)


def _remove_duplicate_casts(graph: GraphProto) -> None:
    """Remove duplicate casts. The converter adds one per fp32 consumer of the same value."""
    makers = {node.output[0]: node for node in graph.node}
    del graph.node[:]
    graph.node.extend(makers.values())


def _fp32_nodes(graph: GraphProto) -> set[str]:
    """Return the names of nodes that stay in fp32: before the first or after the last heavy node."""
    makers = {name: node for node in graph.node for name in node.output}
    reached: set[str] = set()
    for node in graph.node:  # topological order
        if node.op_type in _HEAVY or any(makers[name].name in reached for name in node.input if name in makers):
            reached.add(node.name)
    leading: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type in _HEAVY or node.name in leading:
            leading.update(makers[name].name for name in node.input if name in makers)
    return {node.name for node in graph.node if node.name not in reached & leading}


def _rounded(model: ModelProto, converted: GraphProto) -> ModelProto:
    """Return the fp32 model with weights and values rounded where the converted graph uses fp16."""
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
