"""The model card of an exported file, written from its metadata."""

from pathlib import Path
from typing import Any

import yaml
from fer_service.contract.bundle import Evaluation, Metadata, Metrics
from fer_service.system.files import write_atomically

from fer_training.data.labels import FER2013
from fer_training.tasks.emotion.calibrate import ENOUGH_IMAGES

_WEAKEST = 2  # classes that the card names
_FEW = 200  # images below which the intervals are wider than most differences


def write_card(metadata: Metadata, path: Path) -> None:
    """Write the card in the format of the Hugging Face hub.

    Args:
        metadata: Metadata of the exported file.
        path: The Markdown file to write.
    """
    write_atomically(path, card_text(metadata))


def card_text(metadata: Metadata) -> str:
    """Return the card as Markdown."""
    metrics = metadata.metrics
    rows = "\n".join(
        f"| {label} | {entry.precision:.3f} | {entry.recall:.3f} | {entry.f1:.3f} | {entry.support} |"
        for label, entry in metrics.per_class.items()
    )
    fresh = ""
    if metadata.deduplicated:
        again = metadata.deduplicated
        fresh = f"| accuracy, {again.count:,} faces without duplicates in training | {again.accuracy:.2%} |\n"
    splits = ", ".join(f"{name} {count:,}" for name, count in metadata.data.splits.items())
    front_matter = yaml.safe_dump(_front_matter(metadata), sort_keys=False)
    return f"""---
{front_matter}---
# {metadata.name} {metadata.version}

{metadata.description}

It predicts the **apparent expression** of a face in an image: {", ".join(metadata.labels)}. It cannot know what
a person feels.

| {metrics.split}, {metrics.count:,} faces, single crop, as served | |
| --- | --- |
| accuracy | {metrics.accuracy:.2%} |
| macro F1 | {metrics.macro_f1:.4f} |
| ECE-15 | {metrics.ece15:.4f} |
| negative log likelihood | {metrics.nll:.4f} |
{fresh}
The epoch, the temperature ({metadata.temperature:.3f}) and the threshold were chosen on the same split, so these
figures are slightly optimistic.{_rough(metrics)}

| class | precision | recall | F1 | support |
| --- | --- | --- | --- | --- |
{rows}

Faces whose top probability is below {metadata.uncertain_below:.3f} are marked `uncertain`.{_selective(metadata)}
{_confusion(metadata)}{_robustness(metadata)}{_evaluations(metadata)}
## Training and export

- Recipe `{metadata.recipe}`{_run(metadata)}.{_variant(metadata)}
- Exported {metadata.created} at commit `{metadata.commit}`.
- Data: {metadata.data.name} ({splits}), SHA-256 `{metadata.data.sha256}`.{_origin(metadata)}
- Parity of the fp32 graph with the trained network over {metadata.parity.rows:,} faces: probabilities differ
  by at most {metadata.parity.max_difference:.1e}; top-1 answers are identical.

## Use

Intended use: software that reacts to the expression in an image that its user chose to submit, such as photo
sorting, games, accessibility, and research on aggregates. Treat every answer as a guess about appearance.

Do not judge people with it: no hiring, education, credit, policing, medicine or lie detection. In the European
Union, Regulation (EU) 2024/1689 prohibits inferring the emotions of people at work or in education, except for
medical or safety reasons (Article 5(1)(f)). Other emotion recognition is high-risk (Annex III, point 1(c)), and
the people exposed to it must be informed (Article 50(3)).

## Limits and bias

{_limits(metadata)}

## Licence

{metadata.licence}.
"""


def _rough(metrics: Metrics) -> str:
    return f" With {metrics.count} images, they are rough too." if metrics.count < _FEW else ""


def _limits(metadata: Metadata) -> str:
    metrics = metadata.metrics
    recalls = sorted((entry.recall, label) for label, entry in metrics.per_class.items() if entry.support)
    weak = [label for recall, label in recalls[:_WEAKEST] if recall < 1]
    weakest = "; ".join(_weakness(metrics, label) for label in weak) or "no class, all images were recognised"
    if metadata.data.name != FER2013:
        return f"""- Weakest on {metrics.split}: {weakest}.
- Accuracy by groups of people was not measured. Expect differences."""
    return f"""- Weakest on {metrics.split}: {weakest}.
- The labels of FER-2013 are noisy: human raters agree with about two thirds of them.
- The faces come from web search and are mostly posed, frontal and adult. The data has no age, sex or skin colour,
  so accuracy by groups cannot be measured on it. On portraits of 102 people, models trained on it recognised mild
  smiles of women about twice as often as those of men (docs/outside.md of fer-service)."""


def _weakness(metrics: Metrics, label: str) -> str:
    labels = list(metrics.per_class)
    counts = dict(zip(labels, metrics.confusion[labels.index(label)], strict=True))
    recall = f"{label}, {metrics.per_class[label].recall:.0%} of {sum(counts.values()):,} recognised"
    other = max((name for name in labels if name != label), key=counts.__getitem__, default=label)
    return f"{recall}, the others most often called {other}" if other != label and counts[other] else recall


def _selective(metadata: Metadata) -> str:
    if metadata.metrics.count < ENOUGH_IMAGES:
        return f" This\nthreshold is a default: fewer than {ENOUGH_IMAGES} images are too few to choose one."
    if not metadata.accepted:
        return ""
    return (
        f" On {metadata.metrics.split}, this\nthreshold accepts {metadata.accepted:.1%} of the faces, and "
        f"at least {metadata.selective_accuracy:.0%} of the accepted answers are correct."
    )


def _confusion(metadata: Metadata) -> str:
    labels = list(metadata.metrics.per_class)
    rows = "\n".join(
        f"| **{label}** | {' | '.join(map(str, counts))} |"
        for label, counts in zip(labels, metadata.metrics.confusion, strict=True)
    )
    return f"""
| true \\ predicted | {" | ".join(labels)} |
| --- |{" --- |" * len(labels)}
{rows}
"""


def _robustness(metadata: Metadata) -> str:
    lines = "\n".join(f"| {name} | {value:.2%} |" for name, value in metadata.robustness.items())
    text = ""
    if lines:
        text = f"""
## Robustness

| condition, {metadata.metrics.split} | accuracy |
| --- | --- |
| unchanged | {metadata.metrics.accuracy:.2%} |
{lines}
"""
    measured = metadata.end_to_end
    if measured:
        text += f"""
End to end, in larger images, {measured.detector} finds {measured.found:.1%} of the faces. Accuracy on those is
{measured.accuracy:.2%} with detection and cropping, and {measured.direct:.2%} with the faces given directly.
"""
    return text


def _evaluations(metadata: Metadata) -> str:
    if not metadata.evaluations:
        return ""
    parts = "".join(_evaluation(name, found) for name, found in metadata.evaluations.items())
    return f"\n## Other data\n\nNot used in training or calibration.\n{parts}"


def _evaluation(name: str, found: Evaluation) -> str:
    labels = list(found.per_class)
    rows = "\n".join(
        f"| {label} | {sum(counts)} | {counts[labels.index(label)]} | {found.uncertain_per_class[label]:.1%} | "
        + ", ".join(f"{other} {count}" for other, count in zip(labels, counts, strict=True) if count)
        + " |"
        for label, counts in zip(labels, found.confusion, strict=True)
        if label in found.uncertain_per_class
    )
    accepted = (
        "" if found.accepted_accuracy is None else f", {found.accepted_accuracy:.1%} of the others are correct"
    )
    return f"""
**{name}**, {found.count:,} faces, {_faces(found)}. Accuracy {found.accuracy:.2%}, ECE-15
{found.ece15:.4f}; {found.uncertain:.1%} of the answers are `uncertain`{accepted}.

| class | faces | correct | `uncertain` | answers |
| --- | --- | --- | --- | --- |
{rows}
"""


def _faces(found: Evaluation) -> str:
    if found.detector is None:
        return "each image taken as one face"
    return (
        f"found by {found.detector} in {found.count + found.without_face:,} images, {found.several_faces} of them "
        "with several faces, of which the largest counts"
    )


def _run(metadata: Metadata) -> str:
    return "" if metadata.seed is None else f", seed {metadata.seed}, {metadata.epochs} epochs"


def _origin(metadata: Metadata) -> str:
    start = metadata.start
    lines = [f"Started from the weights of `{start.file}`, SHA-256 `{start.sha256}`."] if start else []
    lines += [f"Learned the answers of `{each.file}`, SHA-256 `{each.sha256}`." for each in metadata.teachers]
    return "".join(f"\n- {line}" for line in lines)


def _variant(metadata: Metadata) -> str:
    return f"\n- Variant: {metadata.variant}." if metadata.variant else ""


def _front_matter(metadata: Metadata) -> dict[str, Any]:
    metrics = metadata.metrics
    figures = [
        {"type": "accuracy", "value": metrics.accuracy},
        {"type": "f1", "name": "macro F1", "value": metrics.macro_f1},
        {"type": "ece", "name": "ECE-15", "value": metrics.ece15},
    ]
    dataset = {"name": metadata.data.name, "type": metadata.data.name.lower(), "split": metrics.split}
    return {
        "license": "other",
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["facial-expression-recognition"],
        "model-index": [
            {
                "name": metadata.name,
                "results": [{"task": {"type": "image-classification"}, "dataset": dataset, "metrics": figures}],
            }
        ],
    }
