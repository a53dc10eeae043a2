"""The card that lies beside an exported detector, written from what the file says of itself."""

from pathlib import Path

from fer_service.detection.tiny import DetectorMetadata

from fer_training.detector.negatives import UNSEEN


def write_detector_card(metadata: DetectorMetadata, path: Path) -> None:
    """Write the card as Markdown."""
    path.write_text(detector_card_text(metadata), encoding="utf-8")


def detector_card_text(metadata: DetectorMetadata) -> str:
    """The card as Markdown."""
    data = metadata.data
    rows = "\n".join(
        f"| {kind} px | {entry.count:,} | {entry.ap50:.3f} | {entry.recall:.3f} |"
        if kind != "all"
        else f"| all from 12 px | {entry.count:,} | {entry.ap50:.3f} | {entry.recall:.3f} |"
        for kind, entry in metadata.found.items()
    )
    return f"""---
license: mit
pipeline_tag: object-detection
tags:
- face-detection
- onnx
---
# {metadata.name} {metadata.version}

{metadata.description}

It says where faces are and how likely each box is one; it tells nothing about whose they are.

| {data.images[1]:,} held-out photographs | faces | AP50 | recall at 0.5 false boxes an image |
| --- | --- | --- | --- |
{rows}

At a score of 0.6, the service's default, {metadata.false_boxes:.2f} boxes a photograph meet no face. `bare`
faces are fully seen; `covered` ones wear a mask or hide behind something. The scores were calibrated on these same
photographs and on {len(UNSEEN)} images without people, so the figures are a little optimistic.

## Making

- Recipe `{metadata.name}`, {metadata.epochs} epochs to these weights, seed {data.seed}.
- Exported {metadata.created} at commit `{metadata.commit}`.
- Data: {data.name}: {data.images[0]:,} photographs fitted to (SHA-256 `{data.sha256[0]}`), {data.faces:,} faces
  pasted (SHA-256 `{data.sha256[1]}`).
- The graph against the trained network, over the held-out photographs: scores differ by at most
  {metadata.parity:.1e}.

## Limits and bias

- Who is in the photographs was not recorded: how it fares by age, sex or skin colour was not measured.
- Faces turned far aside, from behind or upside down were not fitted to.
- Finding faces at all can be what harms: see the responsible use of the emotion model's card.

## Licence

{metadata.licence}.
"""
