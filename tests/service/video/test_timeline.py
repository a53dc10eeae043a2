import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fer_service.contract.errors import ClipError
from fer_service.contract.schemas import BoundingBox, FramePrediction, ImageSize, ModelName, TrackedFace
from fer_service.video.timeline import open_timeline

from tests.fakes import QUALITY

LABELS = ("happy", "sad")


def result(frame: int, *ids: int, labels: tuple[str, ...] = LABELS) -> FramePrediction:
    faces = [
        TrackedFace(
            id=number,
            box=BoundingBox(x=1, y=2, width=30, height=40),
            score=0.5 if number == 1 else None,
            landmarks=None,
            roll=0,
            quality=QUALITY,
            emotion=labels[0],
            confidence=0.75,
            uncertain=False,
            reasons=[],
            probabilities=dict(zip(labels, (0.75, 0.25), strict=True)),
            raw_probabilities=dict(zip(labels, (1.0, 0.0), strict=True)),
        )
        for number in ids
    ]
    model = ModelName(name="tiny", version="1")
    size = ImageSize(width=96, height=64)
    return FramePrediction(frame=frame, time=frame / 10, image=size, faces=faces, model=model)


def written(path: Path, *results: FramePrediction, labels: tuple[str, ...] = LABELS) -> Path:
    with open_timeline(path, labels) as timeline:
        for entry in results:
            timeline.add(entry)
    return path


def test_a_table_has_one_row_per_face(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", result(0, 1, 2), result(1), result(2, 2))
    rows = list(csv.DictReader(path.read_text().splitlines()))
    places = [(row["frame"], row["time"], row["id"]) for row in rows]
    assert places == [("0", "0.0", "1"), ("0", "0.0", "2"), ("2", "0.2", "2")]
    assert rows[0] == {
        "frame": "0",
        "time": "0.0",
        "id": "1",
        "x": "1",
        "y": "2",
        "width": "30",
        "height": "40",
        "score": "0.5",
        "roll": "0.0",
        "emotion": "happy",
        "confidence": "0.75",
        "uncertain": "False",
        "reasons": "",
        "size": "48",
        "sharpness": "0.2",
        "exposure": "0.5",
        "clipped": "0.0",
        "yaw": "",
        "pitch": "",
        "cut": "0.0",
        "happy": "0.75",
        "sad": "0.25",
        "raw_happy": "1.0",
        "raw_sad": "0.0",
    }
    assert rows[1]["score"] == ""


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (("frame", "x"), ["label_frame", "label_x", "raw_frame", "raw_x"]),
        (
            ("emotion", "label_emotion"),
            ["label_emotion", "label_label_emotion", "raw_emotion", "raw_label_emotion"],
        ),
        (("happy", "raw_happy"), ["happy", "raw_happy", "label_raw_happy", "raw_raw_happy"]),
    ],
)
def test_labels_that_are_names_of_columns_get_columns_of_their_own(
    tmp_path: Path, labels: tuple[str, str], columns: list[str]
) -> None:
    entry = result(3, 1, labels=labels)
    (row,) = csv.DictReader(written(tmp_path / "t.csv", entry, labels=labels).read_text().splitlines())
    assert (row["frame"], row["x"], row["emotion"]) == ("3", "1", labels[0])
    (typed,) = pq.read_table(written(tmp_path / "t.parquet", entry, labels=labels)).to_pylist()
    assert (typed["frame"], typed["x"], typed["emotion"]) == (3, 1, labels[0])
    for names in (row, typed):
        assert [*names][-4:] == columns
    assert [float(row[name]) for name in columns] == [typed[name] for name in columns] == [0.75, 0.25, 1.0, 0.0]


def test_no_cell_of_a_table_is_a_formula(tmp_path: Path) -> None:
    labels = ('=HYPERLINK("http://evil.example")', "-1+1")
    path = written(tmp_path / "t.csv", result(0, 1, labels=labels), labels=labels)
    header, row = csv.reader(path.read_text().splitlines())
    assert header[-4:-2] == [f"'{label}" for label in labels]
    assert f"'{labels[0]}" in row
    assert not [cell for cell in header + row if cell.startswith(("=", "+", "-", "@"))]


def test_parquet_holds_the_same_with_types(tmp_path: Path) -> None:
    rows = pq.read_table(written(tmp_path / "t.parquet", result(0, 1, 2), result(1))).to_pylist()
    assert [(row["frame"], row["id"], row["score"]) for row in rows] == [(0, 1, 0.5), (0, 2, None)]
    assert rows[0]["uncertain"] is False
    assert rows[0]["raw_happy"] == 1.0


def test_parquet_is_written_by_row_groups(tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", *(result(frame, *range(1, 101)) for frame in range(120)))
    about = pq.read_metadata(path)
    assert about.num_rows == 12_000
    assert about.num_row_groups == 3


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_has_one_entry_per_frame_with_or_without_faces(tmp_path: Path, count: int) -> None:
    results = [result(frame, *range(1, frame + 1)) for frame in range(count)]
    shown = json.loads(written(tmp_path / "t.json", *results).read_text())
    assert [FramePrediction.model_validate(frame) for frame in shown["frames"]] == results
    faces = {0: 0, 1: 0, 3: 3}[count]
    assert shown["summary"] == {
        "faces": faces,
        "emotions": {"happy": faces} if faces else {},
        "uncertain": 0.0 if faces else None,
        "frames": count,
        "tracks": max(count - 1, 0),
    }


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_the_file_is_complete_after_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"

    def interrupted() -> None:
        with open_timeline(path, LABELS) as timeline:
            timeline.add(result(0, 1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == written(tmp_path / f"whole{suffix}", result(0, 1)).read_bytes()


@pytest.mark.parametrize("suffix", [".CSV", ".Json", ".PARQUET"])
def test_the_suffix_may_be_in_capitals(tmp_path: Path, suffix: str) -> None:
    with open_timeline(tmp_path / f"t{suffix}", ("happy",)):
        pass
    assert (tmp_path / f"t{suffix}").exists()


def test_an_unknown_suffix_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"t\.xlsx: unknown timeline suffix; use \.csv, \.json, \.parquet"):
        open_timeline(tmp_path / "t.xlsx", LABELS)
    with pytest.raises(ClipError, match="cannot write"):
        open_timeline(tmp_path / "nowhere" / "t.csv", LABELS)
    assert list(tmp_path.iterdir()) == []
