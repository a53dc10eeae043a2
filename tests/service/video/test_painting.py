from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from fer_service.analysis.analyzer import Analyzer
from fer_service.analysis.covering import possible_faces
from fer_service.analysis.options import Options
from fer_service.contract.boxes import Box
from fer_service.contract.job import Job
from fer_service.detection.choice import choose_detector
from fer_service.detection.detector import Face
from fer_service.imaging.cover import Cover
from fer_service.video.analysis import ClipOptions, analyze_clip
from fer_service.video.clip import Clip

from tests.fakes import FakeClassifier, FakeDetector
from tests.service.conftest import Pixels
from tests.service.video.conftest import write_clip

OWN = choose_detector("own", 640)


def walking(astronaut: Pixels, count: int) -> list[Pixels]:
    """The astronaut moves to the right by 12 pixels per frame."""
    small = cv2.resize(astronaut, (240, 240), interpolation=cv2.INTER_AREA)
    frames = [np.full((240, 420, 3), 90, np.uint8) for _ in range(count)]
    for number, frame in enumerate(frames):
        frame[:, 12 * number : 12 * number + 240] = small
    return frames


@pytest.mark.parametrize("kind", ["blur", "pixelate"])
@pytest.mark.parametrize("every", [0.0, 10.0])
def test_faces_are_covered_in_every_frame_also_between_the_analysed_ones(
    astronaut: Pixels, tmp_path: Path, kind: Cover, every: float
) -> None:
    times = [number / 10 for number in range(9)]
    source = write_clip(tmp_path / "clip.mp4", walking(astronaut, 9), times)
    with Clip(source) as clip:
        assert all(possible_faces(OWN, frame.pixels) for frame in clip.frames())
    with Clip(source) as clip:
        options = ClipOptions(Options(drawing=kind), every)
        analyze_clip(Analyzer(OWN, FakeClassifier()), clip, options, annotate=tmp_path / "covered.mp4")
    with Clip(tmp_path / "covered.mp4") as clip:
        frames = list(clip.frames())
    assert [frame.time for frame in frames] == pytest.approx(times, abs=0.002)
    for number, frame in enumerate(frames):
        # What the codec makes of a pattern may look a little like a face.
        assert all((face.score or 0) < 0.6 for face in OWN.detect(frame.pixels, 0.3))
        rows, columns = slice(31, 82), slice(12 * number + 83, 12 * number + 126)
        uncovered = walking(astronaut, number + 1)[number][rows, columns]
        assert np.abs(frame.pixels[rows, columns].astype(int) - uncovered).mean() > 20


class Blinking(FakeDetector):
    """Finds a face in the middle of bright frames, and none in dark ones."""

    def detect(self, pixels: Pixels, min_score: float, job: Job | None = None) -> list[Face]:
        found = super().detect(pixels, min_score, job)
        return found if pixels.mean() > 128 else []


def test_a_face_that_is_missed_in_some_frames_is_covered_there_too(tmp_path: Path) -> None:
    bright, dark = np.full((96, 96, 3), 200, np.uint8), np.full((96, 96, 3), 60, np.uint8)
    frames = [*[dark] * 6, *[bright] * 2, *[dark] * 8]
    source = write_clip(tmp_path / "clip.mkv", frames, [number / 10 for number in range(16)])
    line = Analyzer(Blinking(Face(Box(33, 33, 30, 30), 0.9)), FakeClassifier())
    with Clip(source) as clip:
        analyze_clip(line, clip, ClipOptions(Options(drawing="pixelate")), annotate=tmp_path / "covered.mkv")
    with Clip(tmp_path / "covered.mkv") as clip:
        patterned = [frame.pixels[40:56, 40:56].std() > 10 for frame in clip.frames()]
    # Four frames before it is found the first time, and 0.4 s after the last time.
    assert patterned[:11] == [False] * 2 + [True] * 9
    assert not any(patterned[12:])


def test_no_marks_and_no_metadata(astronaut: Pixels, tmp_path: Path) -> None:
    frames = walking(astronaut, 2)
    made = write_clip(tmp_path / "plain.mp4", frames, [0, 0.1])
    with av.open(str(made)) as plain, av.open(str(tmp_path / "clip.mp4"), "w") as copy:
        copy.metadata.update(title="SECRET", location="+48.1+011.5/")
        stream = copy.add_stream_from_template(plain.streams.video[0])
        for packet in plain.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    assert b"SECRET" in (tmp_path / "clip.mp4").read_bytes()
    with Clip(tmp_path / "clip.mp4") as clip:
        options = ClipOptions(Options(drawing="none"))
        analyze_clip(Analyzer(OWN, FakeClassifier()), clip, options, annotate=tmp_path / "out.mp4")
    assert b"SECRET" not in (tmp_path / "out.mp4").read_bytes()
    with Clip(tmp_path / "out.mp4") as clip:
        (first, _) = clip.frames()
    assert np.abs(first.pixels.astype(int) - frames[0]).mean() < 8
