import json
import re
import socket
from pathlib import Path

import pytest
from fer_service import __version__
from fer_service.cli.video import parse_seconds

from tests.service.cli.conftest import Ended, Run
from tests.service.conftest import plain
from tests.service.video.conftest import cut, noise, plain_frame, write_clip

pytestmark = pytest.mark.usefixtures("restored_logging")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A red and a green one, and between them a text, in the current folder."""
    monkeypatch.chdir(tmp_path)
    contents = {"red.jpg": plain("red"), "text.jpg": b"no image", "green.jpg": plain("lime")}
    for name, content in contents.items():
        Path(name).write_bytes(content)
    return [Path(name) for name in contents]


def test_predictions_are_printed_in_a_table(run: Run, photos: list[Path]) -> None:
    ended = run("predict", photos[0], photos[2])
    red, green = [line for line in ended.out.splitlines() if ".jpg" in line]
    assert ended.status == 0
    assert ended.err == ""
    for text in ("red.jpg", "16×16 at 0,0", "angry", "100%"):
        assert text in red
    assert "happy" in green


def test_one_photo_as_json_is_like_predict(run: Run, photos: list[Path]) -> None:
    ended = run("predict", "--json", photos[0])
    answer = json.loads(ended.out)
    assert ended.status == 0
    assert set(answer) == {"image", "faces", "model", "summary"}
    assert answer["faces"][0]["emotion"] == "angry"


def test_several_photos_as_json_are_a_batch(run: Run, photos: list[Path]) -> None:
    ended = run("predict", "--json", photos[0], photos[2])
    results = json.loads(ended.out)["results"]
    assert [result["name"] for result in results] == [str(photos[0]), str(photos[2])]
    assert [result["faces"][0]["emotion"] for result in results] == ["angry", "happy"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_file_that_is_no_image_is_one_line_and_the_others_are_analysed(
    run: Run, photos: list[Path], options: tuple[str, ...]
) -> None:
    ended = run("predict", *options, *photos)
    (line,) = ended.err.splitlines()
    assert ended.status == 1
    assert line.startswith(f"{photos[1]}: unknown image format or damaged header (8 bytes)")
    assert "angry" in ended.out
    assert "happy" in ended.out


HOSTILE = "[/b][red]\x1b[2J\x9b31m=1\n\udce9.jpg"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_hostile_name_is_shown_as_text(
    run: Run, photos: list[Path], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    named, broken = Path(HOSTILE), Path("not" + HOSTILE)
    for path in (named, broken):
        path.parent.mkdir()  # its name ends in a bracket, so that the whole path looks like markup
    named.write_bytes(photos[0].read_bytes())
    broken.write_bytes(b"no image")
    ended = run("predict", *options, named, photos[0], broken)
    assert all(character.isprintable() or character == "\n" for character in ended.out + ended.err)
    (line,) = ended.err.splitlines()
    assert line.startswith("not[/b][red]\\x1b[2J\\x9b31m=1\\n\\udce9.jpg: unknown image format")
    if options:
        assert json.loads(ended.out)["results"][0]["name"] == "[/b][red]\x1b[2J\x9b31m=1\n\\xe9.jpg"
    else:
        assert "[/b][red]\\x1b[2J\\x9b31m=1\\n\\xe9.jpg" in ended.out


def test_a_hostile_value_of_a_setting_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_MODEL", "/nowhere\x1b[2J\nsecond.onnx")
    ended = run("serve")
    assert len(ended.err.splitlines()) == 1
    assert ended.err.strip().isprintable()


def test_a_missing_photo_is_one_line(run: Run, tmp_path: Path) -> None:
    ended = run("predict", tmp_path / "missing.jpg")
    assert ended.status == 1
    assert ended.err.splitlines() == [f"{tmp_path / 'missing.jpg'}: No such file or directory"]


def test_a_photo_without_faces_says_so(run: Run, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_DETECTOR", "haar")
    ended = run("predict", photos[0])
    assert ended.status == 0
    assert "no face" in ended.out


def test_an_uncertain_answer_has_a_question_mark(run: Run, tmp_path: Path) -> None:
    (tmp_path / "grey.jpg").write_bytes(plain("grey"))
    assert "angry ?" in run("predict", tmp_path / "grey.jpg").out


def test_too_little_memory_is_one_line(run: Run, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("fer_service.analysis.loading.load", none_left)
    assert run("predict", photos[0]) == (1, "", "fer-service: not enough memory\n")

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("fer_service.analysis.loading.load", no_thread)
    ended = run("predict", photos[0])
    assert ended.status == 1
    assert ended.err.startswith("fer-service: cannot start a thread: not enough memory")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("FER_MODLE", "x", "unknown setting FER_MODLE"),
        ("FER_THREADS", "none", "FER_THREADS=none: "),
        ("FER_MODEL", "/nowhere.onnx", "/nowhere.onnx: no such file"),
        ("FER_MODEL", "big", "big: no such file; the bundled models are bundled and large"),
        ("FER_DETECTOR", "/nowhere.onnx", "no such detector file"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "predict"])
def test_an_invalid_setting_is_one_line(
    run: Run, photos: list[Path], monkeypatch: pytest.MonkeyPatch, command: str, name: str, value: str, text: str
) -> None:
    monkeypatch.setenv(name, value)
    ended = run(command, *photos[:1] if command == "predict" else ["--port", 0])
    (line,) = ended.err.splitlines()
    assert ended.status == 1
    assert line.startswith("fer-service: ")
    assert text in line


def test_an_invalid_port_is_one_line(run: Run) -> None:
    ended = run("serve", "--port", 70000)
    assert (ended.status, len(ended.err.splitlines())) == (1, 1)
    assert "FER_PORT=70000" in ended.err


@pytest.mark.usefixtures("empty_cache")
def test_a_failed_download_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        ended = run("detector", "pull")
    (line,) = ended.err.splitlines()
    assert ended.status == 1
    assert "yunet_n_dynamic.onnx: " in line


def test_the_version_is_printed(run: Run) -> None:
    assert run("version") == Ended(0, f"{__version__}\n", "")


def test_help_names_the_commands(run: Run) -> None:
    ended = run("--help")
    assert ended.status == 0
    for command in ("serve", "predict", "detector", "version"):
        assert command in ended.out


@pytest.mark.parametrize("arguments", [("predict",), ("predict", "--jsno", "a.jpg"), ("fly",)])
def test_an_unknown_command_is_a_usage_error(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).status == 2


def test_a_video_becomes_a_timeline_and_a_marked_copy(run: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [plain_frame(0, 220, 0)] * 10, [n / 10 for n in range(10)])
    out, marked = tmp_path / "timeline.csv", tmp_path / "marked.mp4"
    ended = run("predict", clip, "--out", out, "--annotate", marked, "--every", "200ms")
    assert (ended.status, ended.err) == (0, "")
    assert "5 frames" in ended.out
    times = [line.split(",")[1] for line in out.read_text().splitlines()]
    assert times == ["time", "0.0", "0.2", "0.4", "0.6", "0.8"]
    assert marked.stat().st_size > 0


def test_the_readable_part_of_a_broken_video_is_written(run: Run, tmp_path: Path) -> None:
    clip = cut(write_clip(tmp_path / "clip.mkv", noise(90), [n / 30 for n in range(90)]), 0.5)
    out = tmp_path / "timeline.csv"
    ended = run("predict", clip, "--out", out)
    assert ended.status == 1
    assert "the video ends after" in ended.err
    assert len(out.read_text().splitlines()) > 20


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["clip.mp4", "--out", "clip.mp4"], "different files"),
        (["clip.mp4", "--out", "timeline.xlsx"], "unknown timeline suffix; use .csv, .json, .parquet"),
        (["clip.mp4", "--out", "a.csv", "--every", "often"], "invalid time often"),
        (["clip.mp4", "a.jpg", "--annotate", "a.mp4"], "give a folder"),
        (["clip.mp4"], "a video needs --out results.csv, or as the only file --annotate marked.mp4"),
        (["photos.mp4", "--out", "a.csv"], "as a video: "),
    ],
)
def test_invalid_options_for_a_video_are_one_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    clip = write_clip(tmp_path / "clip.mp4", [plain_frame(0, 220, 0)] * 3, [0, 0.1, 0.2])
    before = clip.read_bytes()
    ended = run("predict", *arguments)
    assert ended.status != 0
    assert reason in re.sub(r"[\s│]+", " ", ended.err)
    assert "Traceback" not in ended.err
    assert clip.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "seconds"), [("0.2s", 0.2), ("200ms", 0.2), ("0.2", 0.2), ("2", 2), (".5s", 0.5)]
)
def test_times_may_have_units(text: str, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("command", "variable"), [("serve", "FER_HOST"), ("predict", "FER_MODEL")])
def test_the_help_names_the_variable_that_an_option_replaces(run: Run, command: str, variable: str) -> None:
    assert f"({variable})" in run(command, "--help").out
