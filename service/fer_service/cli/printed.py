"""Results on standard output: a table, or JSON."""

import json
import sys
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fer_service.cli.results import Outcome
from fer_service.contract.schemas import BatchPrediction, FaceEmotion, Prediction, summary_of
from fer_service.contract.summaries import sentence_of
from fer_service.contract.text import printable, printable_json

_WIDE: Final = 10_000  # columns of a table in a file or a pipe: nothing is cut


class PrintedResults:
    """Results that are kept and printed at the end."""

    def __init__(self) -> None:
        self._kept: list[tuple[str, Outcome]] = []

    def has(self, name: str) -> bool:
        """Return False: nothing is continued."""
        return False

    def add(self, name: str, outcome: Outcome) -> None:
        """Keep the results of a file, or why there are none."""
        self._kept.append((name, outcome))

    def show(self, *, as_json: bool, single: bool) -> None:
        """Print a table, or JSON: of a single image as /predict answers, of several as /predict/batch does."""
        found = [(name, outcome) for name, outcome in self._kept if isinstance(outcome, Prediction)]
        summary = summary_of(face for _, prediction in found for face in prediction.faces)
        if as_json:
            results = [_result(name, outcome, single=single) for name, outcome in self._kept]
            whole = results[0] if single else {"results": results, "summary": summary.model_dump()}
            text = json.dumps(whole, indent=2, ensure_ascii=False)
            print(printable_json(text, sys.stdout.encoding), flush=True)
        elif found:
            console = Console(width=None if Console().is_terminal else _WIDE)
            console.print(_table(found))
            console.print(Text(printable(sentence_of(summary))))


def _result(name: str, outcome: Outcome, *, single: bool) -> dict[str, Any]:
    if not isinstance(outcome, Prediction):
        return {"name": name, "error": {"detail": outcome}}
    answer = outcome if single else BatchPrediction(name=name, **dict(outcome))
    return answer.model_dump(mode="json")


def _table(kept: list[tuple[str, Prediction]]) -> Table:
    table = Table("image", "face", "box", "emotion", "confidence", "next", "uncertain because")
    for name, prediction in kept:
        if not prediction.faces:
            table.add_row(Text(printable(name)), "–", "no face", "", "", "", "")
        for number, face in enumerate(prediction.faces, 1):
            cells = (printable(name) if number == 1 else "", str(number), *_face_cells(face))
            table.add_row(*map(Text, cells))  # a plain string would be read as markup
    return table


def _face_cells(face: FaceEmotion) -> tuple[str, ...]:
    """Return box, emotion, confidence, the second most likely label and the reasons."""
    ranked = sorted(face.probabilities.items(), key=lambda entry: -entry[1])
    second = f"{ranked[1][0]} {ranked[1][1]:.0%}"
    box = f"{face.box.width}×{face.box.height} at {face.box.x},{face.box.y}"
    return (
        box,
        face.emotion + (" ?" if face.uncertain else ""),
        f"{face.confidence:.0%}",
        second,
        ", ".join(face.reasons),
    )
