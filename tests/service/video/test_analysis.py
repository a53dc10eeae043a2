import json
from pathlib import Path
from typing import Any

import pytest
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.options import Options
from fer_service.contract.boxes import Box
from fer_service.contract.errors import ClipError
from fer_service.detection.detector import Face
from fer_service.video.analysis import ClipOptions, analyze_clip
from fer_service.video.clip import Clip

from tests.fakes import FakeClassifier, FakeDetector
from tests.service.video.conftest import STEADY, plain_frame, write_clip

ANALYZER = Analyzer(FakeDetector(Face(Box(20, 20, 30, 30), 0.9)), FakeClassifier())


def frames_of(path: Path, tmp_path: Path, **options: Any) -> list[dict[str, Any]]:
    out = tmp_path / "timeline.json"
    with Clip(path) as clip:
        analysed = analyze_clip(ANALYZER, clip, ClipOptions(**options), out=out)
    frames: list[dict[str, Any]] = json.loads(out.read_text())["frames"]
    assert analysed == len(frames)
    return frames


def test_every_frame_has_its_time_and_its_faces_ids(steady_clip: Path, tmp_path: Path) -> None:
    frames = frames_of(steady_clip, tmp_path)
    assert [frame["time"] for frame in frames] == pytest.approx(STEADY, abs=0.002)
    assert {face["id"] for frame in frames for face in frame["faces"]} == {1}
    raw = [max(frame["faces"][0]["raw_probabilities"].items(), key=lambda entry: entry[1])[0] for frame in frames]
    assert raw == ["happy"] * 10 + ["angry"] * 10


def test_labels_are_smoothed_by_the_clips_own_time(steady_clip: Path, tmp_path: Path) -> None:
    smooth = [frame["faces"][0] for frame in frames_of(steady_clip, tmp_path, half_life=0.5)]
    assert smooth[12]["emotion"] == "happy", "0.3 s after the change, which is less than the half-life"
    assert smooth[-1]["emotion"] == "angry"
    plain = [frame["faces"][0] for frame in frames_of(steady_clip, tmp_path, half_life=0)]
    assert plain[10]["emotion"] == "angry"


@pytest.mark.parametrize(("every", "expected"), [(0.2, 10), (0.5, 4), (0.25, 8), (5, 1)])
def test_frames_are_analysed_at_the_interval(
    steady_clip: Path, tmp_path: Path, every: float, expected: int
) -> None:
    frames = frames_of(steady_clip, tmp_path, every=every)
    assert len(frames) == expected
    # The first frame of each step of the grid, so that lateness does not add up.
    assert [int(frame["time"] / every + 1e-6) for frame in frames] == list(range(expected))


def test_the_annotated_clip_keeps_every_frames_time(tmp_path: Path) -> None:
    uneven = [0.0, 0.1, 0.5, 0.55, 2.0, 2.04]
    path = write_clip(tmp_path / "clip.mp4", [plain_frame(0, 220, 0)] * 6, uneven)
    with Clip(path) as clip:
        analysed = analyze_clip(ANALYZER, clip, ClipOptions(every=1.0), annotate=tmp_path / "marked.mp4")
    assert analysed == 2
    with Clip(tmp_path / "marked.mp4") as marked:
        frames = list(marked.frames())
        assert marked.damage == []
    assert [frame.time for frame in frames] == pytest.approx(uneven, abs=0.002)
    for frame in frames:
        assert (frame.pixels < 110).all(axis=2).any(), "all frames have the label's dark letters"


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".webm"])
def test_the_annotated_clip_may_have_other_containers_and_odd_sides(tmp_path: Path, suffix: str) -> None:
    source = write_clip(tmp_path / "turned.mp4", [plain_frame(0, 220, 0)] * 3, [0, 0.1, 0.2], rotation=90)
    marked = tmp_path / f"marked{suffix}"
    with Clip(source) as clip:
        analyze_clip(ANALYZER, clip, ClipOptions(), annotate=marked)
    with Clip(marked) as clip:
        frames = list(clip.frames())
    assert len(frames) == 3
    assert frames[0].pixels.shape[:2] == (96, 64)


def test_a_clip_has_no_more_faces_than_asked_for(steady_clip: Path, tmp_path: Path) -> None:
    two = Analyzer(FakeDetector(Face(Box(20, 20, 30, 30), 0.9), Face(Box(60, 20, 20, 20), 0.9)), FakeClassifier())
    counts: list[int] = []
    for frame in (Options(), Options(max_faces=1)):
        with Clip(steady_clip) as clip:
            analyze_clip(
                two, clip, ClipOptions(frame, 10), on_result=lambda result: counts.append(len(result.faces))
            )
    assert counts == [2, 1]


def test_progress_is_in_seconds(steady_clip: Path, tmp_path: Path) -> None:
    times: list[float] = []
    with Clip(steady_clip) as clip:
        analyze_clip(ANALYZER, clip, ClipOptions(every=0.5), out=tmp_path / "t.csv", on_frame=times.append)
    assert times == pytest.approx(STEADY, abs=0.002)


@pytest.mark.parametrize(
    ("out", "marked", "reason"),
    [
        ("t.csv", "marked.gif", r"marked\.gif: unknown video suffix"),
        ("t.xlsx", "marked.mp4", r"t\.xlsx: unknown timeline suffix"),
        ("t.csv", "nowhere/marked.mp4", r"cannot write .*marked\.mp4: No such file"),
    ],
)
def test_a_file_that_cannot_be_written_is_an_error(
    steady_clip: Path, tmp_path: Path, out: str, marked: str, reason: str
) -> None:
    with Clip(steady_clip) as clip, pytest.raises(ClipError, match=reason):
        analyze_clip(ANALYZER, clip, ClipOptions(), out=tmp_path / out, annotate=tmp_path / marked)
    if "suffix" in reason:
        assert list(tmp_path.iterdir()) == [steady_clip], "nothing was begun"
