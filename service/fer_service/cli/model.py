"""`fer-service model`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fer_service import assets
from fer_service.cli.options import Model
from fer_service.contract.bundle import INPUT_NAME, OUTPUT_NAME
from fer_service.contract.device import Device
from fer_service.contract.errors import ResultsError
from fer_service.contract.inference import MODEL
from fer_service.contract.settings import Settings, load_settings
from fer_service.contract.text import printable
from fer_service.system.files import write_atomically

if TYPE_CHECKING:
    from fer_service.contract.bundle import Metadata

_LABELS: Final = "labels.txt"
_KINDS: Final[dict[Device, str]] = {"cpu": "KIND_CPU", "cuda": "KIND_GPU", "tensorrt": "KIND_GPU"}


def export_triton(
    folder: Annotated[Path, typer.Argument(help="Folder to write.", show_default=False)],
    model: Model = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where Triton runs it: cpu (INT8), cuda, or auto.", show_default="FER_DEVICE"),
    ] = None,
) -> None:
    """Write the emotion model as a model repository for Triton: from crops of faces to probabilities."""
    given = {"model": model, "device": device}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    source = assets.model_file(settings.model, int8=settings.device == "cpu")

    from fer_service.classification.classifier import open_classifier  # loads onnxruntime

    metadata = open_classifier(source, "cpu", threads=1).bundle.metadata
    target = folder / MODEL
    try:
        (target / "1").mkdir(parents=True, exist_ok=True)
        write_atomically(target / "1" / "model.onnx", source.read_bytes())
        write_atomically(target / _LABELS, "".join(f"{label}\n" for label in metadata.labels))
        write_atomically(target / "config.pbtxt", _config(metadata, settings))
    except OSError as error:
        raise ResultsError(f"cannot write {error.filename or target}: {error.strerror or error}") from error
    print(printable(target))


def _config(metadata: "Metadata", settings: Settings) -> str:
    """Return a model configuration in the text format of protobuf.

    https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
    """
    side, kind = metadata.input_size, _KINDS.get(settings.device)
    lines = [
        f'name: "{MODEL}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {settings.max_batch}",
        f'input {{ name: "{INPUT_NAME}" data_type: TYPE_UINT8 dims: [ {side}, {side}, 3 ] }}',
        f'output {{ name: "{OUTPUT_NAME}" data_type: TYPE_FP32 dims: [ {len(metadata.labels)} ]'
        f' label_filename: "{_LABELS}" }}',
        "# Crops that wait at the same time share a batch; none waits for others.",
        "dynamic_batching { }",
    ]
    return "\n".join([*lines, *([f"instance_group {{ kind: {kind} }}"] if kind else [])]) + "\n"
