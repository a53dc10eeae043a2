"""ONNX export of networks, and writing of ONNX files with metadata."""

import errno
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from fer_service.system.files import open_atomically

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
    """Export a network as an ONNX graph.

    Args:
        network: Network in evaluation mode with one input tensor.
        example: Example input. Symbolic dimensions must be at least 2; a size of 1 would become a constant.
        symbolic: Symbolic dimensions of the input by index, as torch.export.Dim.
        path: File to write.
        input_name: Name of the graph's input.
        output_names: Names of the graph's outputs, in the network's order.
        opset: ONNX opset.
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


def check_output(out: Path) -> None:
    """Make the folder of an ONNX file that is written after long work, and check that it can be written.

    Raises:
        ExportError: The file cannot be written, or has another suffix: its card gets the same name with .md.
    """
    if out.suffix.lower() != ".onnx":
        raise ExportError(f"--out {out}: give a name that ends in .onnx")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise ExportError(f"cannot write {out}: {error.strerror or error}") from error


def write_model(graph: Path, properties: dict[str, str], out: Path) -> None:
    """Write a graph with these metadata properties only. Debug information of the exporter is removed.

    Raises:
        ExportError: The file cannot be written.
    """
    model = onnx.load(graph)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    for node in model.graph.node:
        # The exporter stores the Python source of every node, which can be as large as a small network.
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    onnx.checker.check_model(model)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with open_atomically(out) as file:
            onnx.save(model, file)
    except OSError as error:
        raise ExportError(f"cannot write {out}: {error.strerror or error}") from error
