"""Smaller and faster variants of a bundle: INT8 for CPUs, fp16 for GPUs, or weights stored as fp16."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from fer_service.classification.classifier import open_classifier
from fer_service.contract.bundle import INPUT_NAME, Metadata, Metrics
from fer_service.system.cores import available_cores
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from fer_training.data import FaceDataset
from fer_training.engine.onnx_export import check_output
from fer_training.errors import ExportError
from fer_training.tasks.emotion.card import write_card
from fer_training.tasks.emotion.evaluate import bundle_data, probabilities_of, score, served_crops
from fer_training.tasks.emotion.export import figures, write_bundle
from fer_training.tasks.emotion.half_precision import to_fp16

Kind = Literal["int8", "fp16-weights", "fp16"]
_DESCRIBED: dict[Kind, str] = {
    "int8": "INT8, static QDQ, U8S8, 7-bit weights with one scale per channel",
    "fp16-weights": "weights stored as fp16, computed in fp32",
    "fp16": "computed in fp16 from the first convolution to before the last layer; scored with that rounding",
}
_CALIBRATION_BATCH = 64
_WEIGHT_BITS = 7  # by reduce_range
# Other operators gain nothing. The preprocessing contains none of these.
_QUANTIZED = ["Conv", "Gemm", "MatMul", "Add"]


def to_int8(source: Path, out: Path, calibration: FaceDataset) -> None:
    """Quantise to INT8: static QDQ, activations uint8, weights int8 with one scale per channel.

    S8S8 is slower than U8S8 on AVX2. Weights use 7 bits (-64 to 64), because x86 CPUs without VNNI add two
    products of uint8 and int8 in int16: 2 · 255 · 64 fits, 2 · 255 · 127 saturates
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).

    Args:
        source: A bundle with weights in fp32 or stored as fp16.
        out: The file to write. It keeps the metadata of the source.
        calibration: Images whose activations set the ranges.
    """
    metadata = open_classifier(source, "cpu", 1).bundle.metadata
    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared)
        quantize_static(
            prepared,
            out,
            _Reader(calibration, metadata),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=_QUANTIZED,
            calibrate_method=CalibrationMethod.MinMax,
        )


def to_fp16_weights(source: Path, out: Path) -> None:
    """Store the weights as fp16. They are cast back when the file is opened, so it computes in fp32.

    Args:
        source: A bundle.
        out: The file to write. It keeps the metadata of the source.
    """
    model = onnx.load(source)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        name, half = tensor.name, numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_fp16"))
        casts.append(helper.make_node("Cast", [f"{name}_fp16"], [name], to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    onnx.save(model, out)


def variant(
    source: Path,
    out: Path,
    data_path: Path,
    *,
    kind: Kind,
    calibration_size: int,
    force: bool,
    limit: float = 0.005,
) -> tuple[Metrics, Metrics]:
    """Make a smaller variant of a bundle, measure it, and write it if it loses little accuracy.

    Args:
        source: The bundle.
        out: The file to write. The card gets the same name with the suffix .md.
        data_path: The data the bundle was made from.
        kind: INT8, weights stored as fp16, or computation in fp16.
        calibration_size: Number of images, stratified by class, that set the INT8 ranges.
        force: Write the file even if it loses more than `limit`.
        limit: Maximum loss of accuracy.

    Returns:
        Scores of the source and of the variant on the validation split.

    Raises:
        ExportError: The source is INT8 or would be replaced, the file cannot be written, or it loses more than
            `limit`. Nothing is written then.
    """
    check_output(out)
    if out.exists() and out.samefile(source):
        raise ExportError(f"--out {out} is the source, which would be lost: give another name")
    metadata = open_classifier(source, "cpu", 1).bundle.metadata
    if metadata.weight_bits is not None:
        raise ExportError(f"{source} is INT8 already: give the file that it was made from")
    data = bundle_data(metadata, data_path)
    validation = data.split(metadata.metrics.split)
    train = data.split(next(name for name in metadata.data.splits if name != metadata.metrics.split))
    with tempfile.TemporaryDirectory() as folder:
        graph = judged = Path(folder) / "variant.onnx"
        match kind:
            case "int8":
                to_int8(source, graph, train.stratified(calibration_size, seed=0))
            case "fp16-weights":
                to_fp16_weights(source, graph)
            case "fp16":
                judged = Path(folder) / "rounded.onnx"
                with _quiet():
                    to_fp16(source, graph, judged)
        before, after = (_probabilities(file, metadata, validation) for file in (source, judged))
        scores = [
            score(each, validation.labels, metadata.labels, metadata.metrics.split) for each in (before, after)
        ]
        lost = scores[0].accuracy - scores[1].accuracy
        if lost > limit and not force:
            raise ExportError(
                f"{source} loses {lost * 100:.2f} points ({scores[0].accuracy:.2%} to {scores[1].accuracy:.2%}); "
                f"at most {limit * 100:.1f} are allowed; use --force to write it anyway"
            )
        changes = figures(after, train, validation, metadata.selective_accuracy)
        # The rest was measured on the source, not on this file.
        changes |= {"variant": _described(metadata, kind), "robustness": {}, "end_to_end": None, "evaluations": {}}
        changes["weight_bits"] = _WEIGHT_BITS if kind == "int8" else None
        metadata = metadata.model_copy(update=changes)
        write_bundle(graph, metadata, out)
    write_card(metadata, out.with_suffix(".md"))
    return scores[0], scores[1]


def _probabilities(file: Path, metadata: Metadata, faces: FaceDataset) -> NDArray[np.float32]:
    return probabilities_of(open_classifier(file, "cpu", available_cores()), faces.images)


def _described(source: Metadata, kind: Kind) -> str:
    earlier = [part for part in source.variant.split("; ") if part and part != _DESCRIBED["fp16-weights"]]
    return "; ".join([*earlier, _DESCRIBED[kind]])


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the advice that the quantiser logs on the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, faces: FaceDataset, metadata: Metadata) -> None:
        self._batches = self._read(faces, metadata)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self._batches, None)

    @staticmethod
    def _read(faces: FaceDataset, metadata: Metadata) -> Iterator[dict[str, NDArray[np.uint8]]]:
        crops = np.stack(list(served_crops(faces.images, metadata.input_size, metadata.crop)))
        for start in range(0, len(crops), _CALIBRATION_BATCH):
            yield {INPUT_NAME: crops[start : start + _CALIBRATION_BATCH]}
