import io
import json
import sys

import pytest
from fer_service.system.terminal import escape_unencodable


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
