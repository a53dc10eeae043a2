"""ONNX graphs: traced from a network, and written with the metadata that makes them files of ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch

from fer_training.errors import ExportError

_OPSET = 20


def trace(
    network: torch.nn.Module,
    example: torch.Tensor,
    symbolic: dict[int, Any],
    path: Path,
    *,
    input_name: str,
    output_names: Sequence[str],
    opset: int = _OPSET,
) -> None:
    """Write a network's graph.

    Args:
        network: In evaluation mode; takes one tensor.
        example: An input; symbolic dimensions have to be two or more in it, one would pass for a constant.
        symbolic: The input's dimensions that may change, by index, as torch.export.Dim.
        path: The file to write.
        input_name: Of the graph.
        output_names: Of the graph, in the network's order.
        opset: Of ONNX.
    """
    torch.onnx.export(
        network,
        (example,),
        path,
        dynamo=True,
        opset_version=opset,
        input_names=[input_name],
        output_names=list(output_names),
        dynamic_shapes=(symbolic,),
        external_data=False,
        verbose=False,
    )


def write_model(graph: Path, properties: dict[str, str], out: Path) -> None:
    """Write a graph with these metadata properties and no others, and without the exporter's notes.

    Raises:
        ExportError: the file cannot be written.
    """
    model = onnx.load(graph)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    for node in model.graph.node:
        # The exporter notes the Python source of every node; that is as large as a small network.
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    onnx.checker.check_model(model)
    partial = out.with_suffix(".partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, partial)
        partial.replace(out)
    except OSError as error:
        raise ExportError(f"{out} cannot be written: {error.strerror or error}") from error
