"""The model card that lies beside an exported file, written from what the file says of itself."""

from pathlib import Path
from typing import Any

import yaml
from fer_service.contract.bundle import Metadata


def write_card(metadata: Metadata, path: Path) -> None:
    """Write the card in the hub's conventions.

    Args:
        metadata: Of the exported file.
        path: The Markdown file.
    """
    path.write_text(card_text(metadata), encoding="utf-8")


def card_text(metadata: Metadata) -> str:
    """The card as Markdown."""
    metrics = metadata.metrics
    rows = "\n".join(
        f"| {label} | {entry.precision:.3f} | {entry.recall:.3f} | {entry.f1:.3f} | {entry.support} |"
        for label, entry in metrics.per_class.items()
    )
    fresh = ""
    if metadata.deduplicated:
        again = metadata.deduplicated
        fresh = (
            f"| accuracy, {again.count:,} faces that the training split does not have | {again.accuracy:.2%} |\n"
        )
    splits = ", ".join(f"{name} {count:,}" for name, count in metadata.data.splits.items())
    front_matter = yaml.safe_dump(_front_matter(metadata), sort_keys=False)
    return f"""---
{front_matter}---
# {metadata.name} {metadata.version}

{metadata.description}

It names the **apparent expression** of a face in an image: {", ".join(metadata.labels)}. It does not know what
a person feels.

| {metrics.split}, {metrics.count:,} faces, single crop, as served | |
| --- | --- |
| accuracy | {metrics.accuracy:.2%} |
| macro F1 | {metrics.macro_f1:.4f} |
| ECE-15 | {metrics.ece15:.4f} |
| negative log likelihood | {metrics.nll:.4f} |
{fresh}
The epoch, the temperature ({metadata.temperature:.3f}) and the threshold were chosen on this same split, so these
figures are a little optimistic.

| class | precision | recall | F1 | support |
| --- | --- | --- | --- | --- |
{rows}

Faces whose top probability is below {metadata.uncertain_below:.3f} are marked `uncertain`.{_promise(metadata)}
{_confusion(metadata)}{_robustness(metadata)}
## Making

- Recipe `{metadata.recipe}`{_run(metadata)}.{_variant(metadata)}
- Exported {metadata.created} at commit `{metadata.commit}`.
- Data: {metadata.data.name} ({splits}), SHA-256 `{metadata.data.sha256}`.
- The fp32 graph against the trained network over {metadata.parity.rows:,} faces: probabilities differ by at most
  {metadata.parity.max_difference:.1e}, no answer differs.

## Use

For software that reacts to the expression in an image its user chose to give: sorting photographs, games,
accessibility, research on aggregates. Every answer is a guess about a face's look and is to be treated as one.

Not for judging people: not for hiring, education, credit, policing, medicine, or telling lies from truth. In the
European Union, Regulation (EU) 2024/1689 forbids inferring emotions of people at work or in education from their
faces, but for medical or safety reasons (Article 5(1)(f)); other emotion recognition is high-risk (Annex III,
point 1(c)), and people exposed to it must be told (Article 50(3)).

## Limits and bias

- FER-2013's labels are noisy: people agree with them about two times in three, so a score near 75 % is a ceiling.
- The faces were collected by web search, are mostly posed, frontal and of adults, and carry no data on age, sex
  or skin colour; differences of accuracy between groups were not measured and must be expected.
- Disgust has few examples; fear is often taken for sadness or surprise.

## Licence

{metadata.licence}.
"""


def _promise(metadata: Metadata) -> str:
    if not metadata.accepted:
        return ""
    return (
        f" On {metadata.metrics.split} that\naccepts {metadata.accepted:.1%} of the faces, and "
        f"{metadata.selective_accuracy:.0%} of the accepted answers are right."
    )


def _confusion(metadata: Metadata) -> str:
    labels = list(metadata.metrics.per_class)
    rows = "\n".join(
        f"| **{label}** | {' | '.join(map(str, counts))} |"
        for label, counts in zip(labels, metadata.metrics.confusion, strict=True)
    )
    return f"""
| true \\ answer | {" | ".join(labels)} |
| --- |{" --- |" * len(labels)}
{rows}
"""


def _robustness(metadata: Metadata) -> str:
    lines = "\n".join(f"| {name} | {value:.2%} |" for name, value in metadata.robustness.items())
    text = ""
    if lines:
        text = f"""
## Worse images

| {metadata.metrics.split}, changed | accuracy |
| --- | --- |
| as they are | {metadata.metrics.accuracy:.2%} |
{lines}
"""
    line = metadata.whole_line
    if line:
        text += f"""
Laid into larger images, {line.found:.1%} of the faces are found by {line.detector}. Of those {line.accuracy:.2%}
are named right after detecting and cropping, {line.direct:.2%} when the face itself is given.
"""
    return text


def _run(metadata: Metadata) -> str:
    return "" if metadata.seed is None else f", seed {metadata.seed}, {metadata.epochs} epochs"


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
