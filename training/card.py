"""The model card that lies beside an exported file, written from what the file says of itself."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from service.inference.bundle import Metadata
from training.config import Recipe


def write_card(metadata: Metadata, recipe: Recipe, confidence: NDArray[np.floating], path: Path) -> None:
    """Write the card in the hub's conventions.

    Args:
        metadata: Of the exported file.
        recipe: It was made by.
        confidence: [N], the file's top probabilities on the selection split.
        path: The Markdown file.
    """
    path.write_text(card_text(metadata, recipe, confidence), encoding="utf-8")


def card_text(metadata: Metadata, recipe: Recipe, confidence: NDArray[np.floating]) -> str:
    """The card as Markdown (see `write_card`)."""
    metrics = metadata.metrics
    accepted = float((confidence >= metadata.uncertain_below).mean())
    rows = "\n".join(
        f"| {label} | {entry.precision:.3f} | {entry.recall:.3f} | {entry.f1:.3f} | {entry.support} |"
        for label, entry in metrics.per_class.items()
    )
    fresh = ""
    if metadata.deduplicated:
        again = metadata.deduplicated
        fresh = f"| accuracy, {again.count:,} faces that the fit split does not have | {again.accuracy:.2%} |\n"
    promise = f", and {metadata.selective_accuracy:.0%} of the accepted answers are right" if accepted else ""
    splits = ", ".join(f"{name} {count:,}" for name, count in metadata.data.splits.items())
    front_matter = yaml.safe_dump(_front_matter(metadata), sort_keys=False)
    return f"""---
{front_matter}---
# {metadata.name} {metadata.version}

{recipe.description}

It names the **apparent expression** of a face in a picture: {", ".join(metadata.labels)}. It does not know what
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

Faces whose top probability is below {metadata.uncertain_below:.3f} are marked `uncertain`. On {metrics.split} that
accepts {accepted:.1%} of the faces{promise}.

## Making

- Recipe `{metadata.recipe}`, seed {recipe.seed}, {recipe.epochs} epochs.
- Exported {metadata.created} at commit `{metadata.commit}`.
- Data: {metadata.data.name} ({splits}), SHA-256 `{metadata.data.sha256}`.
- Exported graph against the trained network over {metadata.parity.rows:,} faces: probabilities differ by at most
  {metadata.parity.max_difference:.1e}, no answer differs.

## Use

For software that reacts to the expression in a picture its user chose to give: sorting photographs, games,
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
