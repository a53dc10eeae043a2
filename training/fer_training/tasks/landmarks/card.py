"""Model card of an exported landmark network, written from the file's metadata."""

from pathlib import Path

from fer_service.detection.landmarks import LandmarkMetadata
from fer_service.system.files import write_atomically


def write_landmark_card(metadata: LandmarkMetadata, path: Path) -> None:
    """Write the card as a Markdown file."""
    write_atomically(path, landmark_card_text(metadata))


def landmark_card_text(metadata: LandmarkMetadata) -> str:
    """Return the card as Markdown."""
    return f"""---
license: other
pipeline_tag: keypoint-detection
tags:
- face-landmarks
- onnx
---
# {metadata.name} {metadata.version}

{metadata.description}

Input: crops of faces, {metadata.size}×{metadata.size} pixels, of any rotation. Output: eyes, nose and corners
of the mouth, the mean of those of a crop and of its mirror image.

| {metadata.images[1]:,} validation images | as they are | rotated by 30° |
| --- | --- | --- |
| mean distance from the labels, in sides of the image | {metadata.distance:.3f} | {metadata.turned_distance:.3f} |
| median error of the roll | {metadata.roll:.1f}° | {metadata.turned_roll:.1f}° |

The labels of training and validation are answers of another network, MediaPipe's face mesh 0.10.14 (Apache-2.0).
So these figures show how well its answers are repeated, not how exact they are.

## Training

- Recipe `{metadata.name}`, best epoch {metadata.epochs}, seed {metadata.seed}.
- Exported {metadata.created} at commit `{metadata.commit}`.
- Data: {metadata.data}, {metadata.images[0]:,} training images (SHA-256 `{metadata.sha256}`).
- Maximum difference between the exported graph and the trained network: {metadata.parity:.1e} sides.

## Limits and bias

- Performance by age, sex or skin colour was not measured.
- Covered eyes and mouths get points too: a guess of where they are.
- Faces in profile, and crops that miss the face, get points that are not on the face.

## Licence

{metadata.licence}.
"""
