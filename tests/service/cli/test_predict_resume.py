"""`fer-service predict --resume`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.service.cli.conftest import Run, names
from tests.service.conftest import plain
from tests.service.video.conftest import plain_frame, write_clip

pytestmark = pytest.mark.usefixtures("restored_logging")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["results.csv", "results.ndjson"])
def test_an_interrupted_run_repeats_the_last_file_whose_results_are_there(run: Run, name: str) -> None:
    run("predict", "photos", "--recursive", "--out", name)
    whole = Path(name).read_text(encoding="utf-8")
    lines = whole.splitlines(keepends=True)
    cut = len(lines) - 2
    Path(name).write_text("".join(lines[:cut]) + lines[cut][:9], encoding="utf-8")
    ended = run("predict", "photos", "--recursive", "--out", name, "--resume")
    assert Path(name).read_text(encoding="utf-8") == whole
    assert "1 had results" in ended.err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["results.csv", "results.ndjson"])
def test_wherever_a_file_of_results_is_torn_nothing_is_missing_after_a_resume(run: Run, name: str) -> None:
    odd = Path("photos/é,\n\u2028.jpg")
    odd.write_bytes(plain("red"))
    run("predict", "photos", "--out", name)
    whole = Path(name).read_bytes()
    start = whole.index(b"\n") + 1 if name.endswith("csv") else 0
    for end in range(start, len(whole), 23):
        Path(name).write_bytes(whole[:end])
        run("predict", "photos", "--out", name, "--resume")
        assert Path(name).read_bytes() == whole, end


@pytest.mark.parametrize("name", ["results.csv", "results.ndjson"])
def test_a_resumed_run_tries_failed_files_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for file, data in {"a.jpg": b"no image", "b.jpg": plain("red"), "c.jpg": plain("lime")}.items():
        Path("photos", file).write_bytes(data)
    assert run("predict", "photos", "--out", name).status == 1
    assert run("predict", "photos", "--out", name, "--resume").status == 1
    Path("photos/a.jpg").write_bytes(plain("lime"))
    assert run("predict", "photos", "--out", name, "--resume").status == 0
    text = Path(name).read_text(encoding="utf-8")
    assert [text.count(file) for file in ("a.jpg", "b.jpg", "c.jpg")] == [1, 1, 1]
    assert "no image" not in text


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["results.csv", "results.ndjson"])
def test_an_empty_file_is_continued_and_a_foreign_one_is_not(run: Run, name: str) -> None:
    Path(name).touch()
    assert run("predict", "photos/b-red.jpg", "--out", name, "--resume").status == 0
    Path(name).write_bytes(plain("red") + b"\n")
    ended = run("predict", "photos/b-red.jpg", "--out", name, "--resume")
    assert (ended.status, len(ended.err.splitlines())) == (1, 1)
    assert Path(name).read_bytes() == plain("red") + b"\n"


@pytest.mark.usefixtures("folder")
def test_a_resumed_run_gives_each_copy_its_own_name_again(run: Run) -> None:
    words = ["photos/b-red.jpg", "photos/more/b-red.jpg", "--out", "a.csv", "--annotate", "marked"]
    Path("photos/more/b-red.jpg").write_bytes(plain("blue"))
    run("predict", *words)
    before = {path: path.read_bytes() for path in Path("marked").iterdir()}
    assert len(set(before.values())) == 2
    run("predict", *words, "--resume")
    assert {path: path.read_bytes() for path in Path("marked").iterdir()} == before


@pytest.mark.usefixtures("folder")
def test_results_of_another_model_are_not_continued(run: Run) -> None:
    Path("results.csv").write_text("file,age\na.jpg,3\n", encoding="utf-8")
    ended = run("predict", "photos", "--out", "results.csv", "--resume")
    assert ended.status == 1
    assert "results.csv has other columns" in ended.err
    assert Path("results.csv").read_text(encoding="utf-8") == "file,age\na.jpg,3\n"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["results.csv", "results.ndjson"])
def test_a_resumed_run_keeps_the_results_of_files_that_it_does_not_name(run: Run, name: str) -> None:
    run("predict", "photos", "--out", name)
    before = Path(name).read_text(encoding="utf-8")
    run("predict", "photos/more/b-red.jpg", "--out", name, "--resume")
    after = Path(name).read_text(encoding="utf-8")
    assert after.startswith(before)
    assert after[len(before) :].count("photos/more/b-red.jpg") == 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("results.csv", lambda text: text + b"\r\n\r\n"),
        ("results.csv", lambda text: text[:20]),
        ("results.csv", lambda text: b"\xef\xbb\xbf" + text),
        ("results.ndjson", lambda text: text + b"\n\n"),
        ("results.ndjson", lambda text: b"\xef\xbb\xbf" + text),
    ],
)
def test_blank_lines_marks_and_a_torn_header_do_not_hinder_a_resume(
    run: Run, name: str, changed: Callable[[bytes], bytes]
) -> None:
    run("predict", "photos", "--out", name)
    before = Path(name).read_bytes()
    Path(name).write_bytes(changed(before))
    assert run("predict", "photos", "--out", name, "--resume").status == 1  # one of the files is damaged
    assert Path(name).read_bytes() == before


def test_a_timeline_is_not_continued(run: Run, folder: Path) -> None:
    write_clip(folder / "clip.mp4", [plain_frame(0, 220, 0)] * 2, [0, 0.1])
    assert run("predict", "photos/clip.mp4", "--out", "timeline.csv", "--resume").status == 0  # a new file
    before = Path("timeline.csv").read_bytes()
    ended = run("predict", "photos/clip.mp4", "--out", "timeline.csv", "--resume")
    assert "timeline.csv is the timeline of a video, which cannot be continued: leave --resume out" in ended.err
    assert Path("timeline.csv").read_bytes() == before


def test_a_resumed_run_of_one_video_keeps_the_results_of_others(run: Run, folder: Path) -> None:
    run("predict", "photos/b-red.jpg", "--out", "results.csv")
    write_clip(folder / "clip.mp4", [plain_frame(0, 220, 0)] * 2, [0, 0.1])
    run("predict", "photos/b-red.jpg", "photos/clip.mp4", "--out", "results.csv", "--resume")
    assert names("results.csv") == ["photos/b-red.jpg", *["photos/clip.mp4"] * 2]
    assert run("predict", "photos/clip.mp4", "--out", "results.csv", "--resume").status == 0
    assert names("results.csv") == ["photos/b-red.jpg", *["photos/clip.mp4"] * 2]
    Path("results.csv").write_text("precious")
    assert run("predict", "photos/clip.mp4", "--out", "results.csv", "--resume").status == 1
    assert Path("results.csv").read_text() == "precious"
