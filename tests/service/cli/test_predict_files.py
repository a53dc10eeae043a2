import errno
import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from fer_service import __version__
from fer_service.tables import CsvTable

from tests.service.cli.conftest import Ended, Run, names, rows
from tests.service.conftest import encoded, plain
from tests.service.video.conftest import plain_frame, write_clip

pytestmark = pytest.mark.usefixtures("restored_logging")


@pytest.mark.usefixtures("folder")
def test_a_folder_is_a_table_with_a_row_for_what_cannot_be_read(run: Run) -> None:
    ended = run("predict", "photos", "--out", "results.csv")
    green, red, bad = rows("results.csv")
    assert ended.status == 1
    assert [row["file"] for row in (green, red, bad)] == [
        "photos/a-green.JPG",
        "photos/b-red.jpg",
        "photos/c-bad.png",
    ]
    assert (green["emotion"], red["emotion"], red["face"], red["error"]) == ("happy", "angry", "1", "")
    assert bad["error"].startswith("unknown image format")
    assert bad["emotion"] == ""
    assert ended.err.splitlines()[-1] == (
        "3 files analysed, 1 with an error, 1 other file passed over → results.csv"
    )


def test_a_file_that_is_far_too_large_is_a_row(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_MAX_IMAGE_PIXELS", "1000000")
    for name, head in (("junk.jpg", b""), ("large.jpg", b"\xff\xd8\xff")):
        (folder / name).write_bytes(head)
        os.truncate(folder / name, 2**36)  # a sparse file; it would not fit into memory
    assert run("predict", "photos/junk.jpg", "photos/large.jpg", "--out", "results.csv").status == 1
    junk, large = rows("results.csv")
    assert junk["error"].startswith("unknown image format")
    assert large["error"] == "the file has more than 75,108,864 bytes, which 1,000,000 pixels do not need"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["photos", "--recursive"], ["a-green.JPG", "b-red.jpg", "c-bad.png", "more/b-red.jpg"]),
        (["photos/*.jpg"], ["b-red.jpg"]),
        (["photos/**/*.jpg"], ["b-red.jpg", "more/b-red.jpg"]),
        (["photos/b-red.jpg", "photos"], ["b-red.jpg", "a-green.JPG", "c-bad.png"]),
    ],
)
def test_folders_and_patterns_name_files(run: Run, words: list[str], found: list[str]) -> None:
    run("predict", *words, "--out", "results.csv")
    assert names("results.csv") == [f"photos/{name}" for name in found]


@pytest.mark.usefixtures("folder")
def test_all_formats_have_the_same_results(run: Run) -> None:
    for suffix in ("csv", "parquet", "json", "ndjson"):
        assert run("predict", "photos", "--out", f"results.{suffix}").status == 1
    table = pyarrow.parquet.read_table("results.parquet").to_pylist()
    lines = [json.loads(line) for line in Path("results.ndjson").read_text(encoding="utf-8").splitlines()]
    assert json.loads(Path("results.json").read_text(encoding="utf-8")) == {
        "results": lines,
        "summary": {"faces": 2, "emotions": {"happy": 1, "angry": 1}, "uncertain": 0.0},
    }
    assert [line["name"] for line in lines] == [row["file"] for row in table] == names("results.csv")
    assert lines[2]["error"]["detail"] == table[2]["error"] == rows("results.csv")[2]["error"]
    assert lines[0]["faces"][0]["probabilities"]["happy"] == pytest.approx(table[0]["happy"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs Unix")
def test_pipes_and_loops_of_links_stop_nothing(run: Run, folder: Path) -> None:
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "loop2").symlink_to(folder, target_is_directory=True)
    (folder / "x-loop.jpg").symlink_to(folder / "y-loop.jpg")
    (folder / "y-loop.jpg").symlink_to(folder / "x-loop.jpg")
    assert run("predict", "photos", "--out", "a.csv", "--annotate", "marked").status == 1
    errors = {Path(row["file"]).name: row["error"] for row in rows("a.csv") if row["error"]}
    assert set(errors) == {"c-bad.png", "x-loop.jpg", "y-loop.jpg"}
    assert "symbolic links" in errors["x-loop.jpg"]
    run("predict", "photos/**/*.jpg", "--out", "a.csv")
    assert names("a.csv") == ["photos/b-red.jpg", "photos/more/b-red.jpg"]


def test_a_folder_that_cannot_be_searched_is_a_row(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.listdir

    def locked(path: Any) -> list[str]:
        if Path(path).name == "more":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listed(path)

    monkeypatch.setattr(os, "listdir", locked)
    ended = run("predict", "photos", "--recursive", "--out", "results.csv")
    (row,) = [row for row in rows("results.csv") if row["file"] == "photos/more"]
    assert (ended.status, row["error"]) == (1, "Permission denied")


@pytest.mark.usefixtures("folder")
def test_a_file_may_be_called_like_standard_input(run: Run) -> None:
    Path("-").write_bytes(plain("red"))
    assert run("predict", "./-", "--out", "a.csv").status == 0
    assert run("predict", "?", "--out", "b.csv").status == 0
    assert [row["emotion"] for row in rows("a.csv") + rows("b.csv")] == ["angry", "angry"]


def test_a_name_that_is_too_long_is_a_line(run: Run) -> None:
    ended = run("predict", "a" * 300 + ".jpg")
    assert (ended.status, len(ended.err.splitlines())) == (1, 1)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["photos", "--out", "a.parquet", "--resume"], "--resume needs a .csv or .ndjson file"),
        (["photos", "--out", "a.xlsx"], "unknown suffix for results; use .csv, .ndjson, .json, .parquet"),
        (["photos", "--resume"], "--resume needs --out"),
        (["photos", "--json", "--out", "a.json"], "give one of the two"),
        (["photos/*.gif"], "no file matches photos/*.gif"),
        (["."], "has no images or videos; --recursive searches its subfolders"),
        (["photos", "--annotate", "photos"], "--annotate: photos holds files to analyse"),
        (
            ["rtsp://camera/stream", "--out", "a.csv"],
            "rtsp://camera/stream is an address: save",
        ),
        (["photos/*.png", "--annotate", "photos"], "a copy could replace one: give another folder"),
        (
            ["photos", "--recursive", "--annotate", "photos/marked"],
            "photos/marked lies in photos, whose subfolders are searched",
        ),
        (["photos/b-red.jpg", "results.json", "--out", "results.json"], "is one of the files to analyse"),
        (["photos/b-red.jpg", "--out", "/dev/full/a.csv"], "cannot write"),
        pytest.param(
            ["photos/**.jpg"],
            "photos/**.jpg: ",
            marks=pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python takes it as *.jpg"),
        ),
        (["photos/b-red.jpg", "--annotate", "photos/notes.txt"], "cannot write photos/notes.txt"),
        (["photos", "--max-faces", "0"], "--max-faces must be 1 to 100 (FER_MAX_FACES), not 0"),
        (["photos", "--min-score", "2"], "'--min-score': Input should be less than or equal to 1"),
    ],
)
def test_what_cannot_be_is_one_sentence(run: Run, arguments: list[str], reason: str) -> None:
    ended = run("predict", *arguments)
    assert ended.status != 0
    assert reason in " ".join(ended.err.replace("│", "").split())


def test_images_and_videos_are_mixed(run: Run, folder: Path) -> None:
    write_clip(folder / "clip.mp4", [plain_frame(0, 220, 0)] * 3, [0, 0.1, 0.2])
    (folder / "broken.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    ended = run("predict", "photos", "--out", "results.csv")
    clip = [row for row in rows("results.csv") if row["file"] == "photos/clip.mp4"]
    (broken,) = [row for row in rows("results.csv") if row["file"] == "photos/broken.mp4"]
    assert ended.status == 1
    assert [float(row["time"]) for row in clip] == [0.0, 0.1, 0.2]
    assert {row["emotion"] for row in clip} == {"happy"}
    assert "cannot read photos/broken.mp4 as a video" in broken["error"]


def test_a_video_without_faces_has_one_row(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_DETECTOR", "own")  # finds no face in a plain frame
    write_clip(folder / "clip.mp4", [plain_frame(0, 220, 0)] * 3, [0, 0.1, 0.2])
    run("predict", "photos", "--out", "results.csv")
    (row,) = [row for row in rows("results.csv") if row["file"] == "photos/clip.mp4"]
    assert (row["frame"], row["face"], row["error"]) == ("0", "", "")


@pytest.mark.usefixtures("folder")
def test_printed_json_has_an_error_for_what_cannot_be_read(run: Run) -> None:
    ended = run("predict", "photos/b-red.jpg", "photos/c-bad.png", "--json")
    answer = json.loads(ended.out)
    red, bad = answer["results"]
    assert (ended.status, red["faces"][0]["emotion"], answer["summary"]["faces"]) == (1, "angry", 1)
    assert bad == {"name": "photos/c-bad.png", "error": {"detail": bad["error"]["detail"]}}
    assert bad["error"]["detail"].startswith("unknown image format")
    assert json.loads(run("predict", "photos/c-bad.png", "--json").out) == bad


def test_an_output_that_nobody_reads_on_ends_without_a_message(folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [sys.executable, "-m", "fer_service", "predict", folder / "b-red.jpg", "--json"]
    ended = subprocess.run(
        arguments, stdout=writer, stderr=subprocess.PIPE, env=os.environ | {"FER_DETECTOR": "own"}, check=False
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_after_ctrl_c_the_way_to_go_on_is_said(folder: Path, tmp_path: Path) -> None:
    for number in range(3000):
        (folder / f"{number}.jpg").hardlink_to(folder / "b-red.jpg")
    out = tmp_path / "results.csv"
    words = [sys.executable, "-m", "fer_service", "predict", folder, "--out", out]
    # Tests that run in the background of a script ignore the signal, and what they start would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=os.environ | {"FER_DETECTOR": "own"}) as process:
        signal.signal(signal.SIGINT, before)
        while process.poll() is None and (not out.exists() or len(out.read_bytes().splitlines()) < 3):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    assert process.returncode == 130
    assert error.decode().splitlines()[-1] == f"stopped; the results so far are in {out}; --resume continues"


def test_an_error_while_results_are_written_leaves_no_work_behind(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        (folder / f"{number}.jpg").write_bytes(plain("red"))
    unfinished: list[object] = []

    write = CsvTable.add

    def write_the_head_alone(table: CsvTable, rows: Any) -> None:
        if rows[0][0] != "file":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(table, rows)

    monkeypatch.setattr(CsvTable, "add", write_the_head_alone)
    loops = "asyncio.base_events.BaseEventLoop.call_exception_handler"
    monkeypatch.setattr(loops, lambda loop, context: unfinished.append(context))
    ended = run("predict", "photos", "--out", "results.csv")
    gc.collect()
    assert (ended.status, unfinished) == (1, [])
    assert ended.err.splitlines()[-1] == "fer-service: cannot write results.csv: No space left on device"


def test_the_memory_for_images_in_child_processes_is_that_of_the_setting(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_DECODE_MEMORY", str(2**20))
    (folder / "c-bad.png").write_bytes(encoded(np.zeros((2000, 2000, 3), np.uint8), "TIFF"))
    assert "(FER_DECODE_MEMORY)" in run("predict", "photos/c-bad.png").err


def test_standard_input_is_a_source(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "red.jpg").write_bytes(plain("red"))
    with (tmp_path / "red.jpg").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        ended: Ended = run("predict", "-", "--json")
    assert json.loads(ended.out)["faces"][0]["emotion"] == "angry"


def test_a_piped_table_cuts_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = tmp_path / ("a" * 120 + ".jpg")
    path.write_bytes(plain("red"))
    assert str(path) in run("predict", path).out


def test_the_version_is_an_option(run: Run) -> None:
    assert run("--version") == Ended(0, f"{__version__}\n", "")
