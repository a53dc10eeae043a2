import io
import json
import sys
from pathlib import Path

import pytest
from fer_service.system.terminal import as_typed, escape_unencodable


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("ascii", rb"\u00e9 \u2192 \ud83d\ude42"), ("cp1252", b"\xe9 \\u2192 \\ud83d\\ude42")],
)
def test_what_an_encoding_lacks_is_escaped_as_in_json(
    monkeypatch: pytest.MonkeyPatch, encoding: str, written: bytes
) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    escape_unencodable()
    for stream in streams.values():
        stream.write("é → 🙂")
        stream.flush()
        content = stream.buffer.getvalue()  # type: ignore[attr-defined]
        assert content == written
        assert json.loads(f'"{content.decode(encoding)}"') == "é → 🙂"


def test_other_streams_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)
    escape_unencodable()
    assert (sys.stdout, sys.stderr) == (stream, None)


@pytest.mark.parametrize(
    ("started", "typed"),
    [
        (".venv/bin/fer-service", ".venv/bin/fer-service"),
        ("{here}/.venv/bin/fer-service", ".venv/bin/fer-service"),
        ("/my venv/bin/fer-service", "'/my venv/bin/fer-service'"),
        ("/src/fer_service/__main__.py", ".venv/bin/python -m fer_service"),
        ("{here}/bin/fer-service", "fer-service"),
        ("/usr/bin/pytest", "fer-service"),
        ("", "fer-service"),
    ],
)
def test_a_hint_names_the_program_as_the_user_started_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, started: str, typed: str
) -> None:
    on_path = tmp_path / "bin" / "fer-service"
    on_path.parent.mkdir()
    on_path.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(on_path.parent))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.setattr(sys, "argv", [started.format(here=tmp_path)])
    assert as_typed("fer-service", "fer_service") == typed


def test_a_hint_in_a_folder_that_was_deleted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    monkeypatch.setattr("sys.argv", ["/opt/fer/bin/fer-service"])
    assert as_typed("fer-service", "fer_service") == "/opt/fer/bin/fer-service"
