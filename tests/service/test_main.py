import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from service import __version__
from service.__main__ import main
from tests.service.conftest import plain

pytestmark = pytest.mark.usefixtures("restored_logging")


class Ended(NamedTuple):
    """How a command ended and what it wrote."""

    status: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(
    tiny_bundle: Path, yunet_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command with the tiny bundle and a detector that sees one face everywhere."""
    environment = {"FER_MODEL": tiny_bundle, "FER_DETECTOR": yunet_file, "FER_DEVICE": "cpu", "COLUMNS": 200}
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))

    def command(*arguments: object) -> Ended:
        monkeypatch.setattr("sys.argv", ["fer-service", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        status = ended.value.code
        assert isinstance(status, int)
        return Ended(status, *capsys.readouterr())

    return command


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A red and a green one, and between them a text, in the current folder."""
    monkeypatch.chdir(tmp_path)
    contents = {"red.jpg": plain("red"), "text.jpg": b"no picture", "green.jpg": plain("lime")}
    for name, content in contents.items():
        Path(name).write_bytes(content)
    return [Path(name) for name in contents]


def test_photos_are_answered_in_a_table(run: Run, photos: list[Path]) -> None:
    ended = run("predict", photos[0], photos[2])
    red, green = [line for line in ended.out.splitlines() if ".jpg" in line]
    assert ended.status == 0
    assert ended.err == ""
    for text in ("red.jpg", "16×16 at 0,0", "angry", "100%"):
        assert text in red
    assert "happy" in green


def test_one_photo_as_json_is_the_apis_answer(run: Run, photos: list[Path]) -> None:
    ended = run("predict", "--json", photos[0])
    answer = json.loads(ended.out)
    assert ended.status == 0
    assert set(answer) == {"image", "faces", "model"}
    assert answer["faces"][0]["emotion"] == "angry"


def test_several_photos_as_json_are_a_batch(run: Run, photos: list[Path]) -> None:
    ended = run("predict", "--json", photos[0], photos[2])
    results = json.loads(ended.out)["results"]
    assert [result["name"] for result in results] == [str(photos[0]), str(photos[2])]
    assert [result["faces"][0]["emotion"] for result in results] == ["angry", "happy"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_what_is_no_picture_is_one_line_and_the_others_are_answered(
    run: Run, photos: list[Path], options: tuple[str, ...]
) -> None:
    ended = run("predict", *options, *photos)
    (line,) = ended.err.splitlines()
    assert ended.status == 1
    assert line.startswith(f"{photos[1]}: a body of 10 bytes is none of JPEG")
    assert "angry" in ended.out
    assert "happy" in ended.out


def test_a_photo_that_is_not_there_is_one_line(run: Run, tmp_path: Path) -> None:
    ended = run("predict", tmp_path / "missing.jpg", tmp_path)
    assert ended.status == 1
    assert ended.err.splitlines() == [
        f"{tmp_path / 'missing.jpg'}: No such file or directory",
        f"{tmp_path}: Is a directory",
    ]


def test_a_photo_without_faces_says_so(run: Run, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_DETECTOR", "haar")
    ended = run("predict", photos[0])
    assert ended.status == 0
    assert "no face" in ended.out


def test_an_uncertain_answer_has_a_question_mark(run: Run, tmp_path: Path) -> None:
    (tmp_path / "grey.jpg").write_bytes(plain("grey"))
    assert "angry ?" in run("predict", tmp_path / "grey.jpg").out


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("FER_MODLE", "x", "FER_MODLE is no setting"),
        ("FER_THREADS", "none", "FER_THREADS=none: "),
        ("FER_MODEL", "/nowhere.onnx", "/nowhere.onnx: there is no such file"),
        ("FER_DETECTOR", "/nowhere.onnx", "no such detector file"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "predict"])
def test_a_wrong_setting_is_one_line(
    run: Run, photos: list[Path], monkeypatch: pytest.MonkeyPatch, command: str, name: str, value: str, text: str
) -> None:
    monkeypatch.setenv(name, value)
    ended = run(command, *photos[:1] if command == "predict" else ["--port", 0])
    (line,) = ended.err.splitlines()
    assert ended.status == 1
    assert line.startswith("fer-service: ")
    assert text in line


def test_a_port_that_is_none_is_one_line(run: Run) -> None:
    ended = run("serve", "--port", 70000)
    assert (ended.status, len(ended.err.splitlines())) == (1, 1)
    assert "FER_PORT=70000" in ended.err


@pytest.mark.usefixtures("empty_cache")
def test_weights_that_cannot_be_fetched_are_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        ended = run("detector", "pull")
    (line,) = ended.err.splitlines()
    assert ended.status == 1
    assert "yunet_n_dynamic.onnx cannot be fetched: " in line


def test_the_version_is_told(run: Run) -> None:
    assert run("version") == Ended(0, f"{__version__}\n", "")


def test_help_names_the_commands(run: Run) -> None:
    ended = run("--help")
    assert ended.status == 0
    for command in ("serve", "predict", "detector", "version"):
        assert command in ended.out


@pytest.mark.parametrize("arguments", [("predict",), ("predict", "--jsno", "a.jpg"), ("fly",)])
def test_a_command_that_is_none_is_a_usage_error(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).status == 2
