"""Model card of an exported detector, written from the file's metadata."""

from pathlib import Path

from fer_service.detection.own import DetectorMetadata
from fer_service.system.files import write_atomically

from fer_training.tasks.detection.scenes.negatives import HELD_OUT_NEGATIVES


def write_detector_card(metadata: DetectorMetadata, path: Path) -> None:
    """Write the card as a Markdown file."""
    write_atomically(path, detector_card_text(metadata))


def detector_card_text(metadata: DetectorMetadata) -> str:
    """Return the card as Markdown."""
    data = metadata.data
    rows = "\n".join(
        f"| {kind} px | {entry.count:,} | {entry.ap50:.3f} | {entry.recall:.3f} |"
        if kind != "all"
        else f"| all, at least 12 px | {entry.count:,} | {entry.ap50:.3f} | {entry.recall:.3f} |"
        for kind, entry in metadata.found.items()
    )
    start = metadata.start
    started = f"\n- Started from the weights of `{start.file}` (SHA-256 `{start.sha256}`)." if start else ""
    return f"""---
license: other
pipeline_tag: object-detection
tags:
- face-detection
- onnx
---
# {metadata.name} {metadata.version}

{metadata.description}

The detector returns face boxes with scores. It does not identify people.

| {data.images[1]:,} held-out photographs | faces | AP50 | recall at 0.5 false boxes per image |
| --- | --- | --- | --- |
{rows}

At a score of 0.6, the service's default, there are {metadata.false_boxes:.2f} false boxes per photograph. `bare`
faces are fully visible. `occluded` faces wear a mask or are partly hidden. The figures are those of one search at
full size; the service searches at several sizes. The scores were calibrated on the same photographs and on
{len(HELD_OUT_NEGATIVES)} images without people, so the figures are slightly optimistic.

## Training

- Recipe `{metadata.name}`, {metadata.epochs} epochs, seed {data.seed}.
- Exported {metadata.created} at commit `{metadata.commit}`.
- Data: {data.name}: {data.images[0]:,} training photographs (SHA-256 `{data.sha256[0]}`), {data.faces:,} pasted
  faces (SHA-256 `{data.sha256[1]}`).{started}
- Maximum difference of scores between the exported graph and the trained network, on the held-out photographs:
  {metadata.parity:.1e}.

## Limits and bias

- The photographs have no labels for age, sex or skin colour. Performance by group was not measured.
- The detector was not trained on profile views, heads from behind or upside-down faces.
- Face detection itself can do harm: see "Responsible use" in the emotion model's card.

## Licence

{metadata.licence}.
"""
