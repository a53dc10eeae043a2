"""Damaged requests; a seed and a number make the same one every time.

    python -m tests.campaign.requests SEED NUMBER > request

writes one to standard output.
"""

import base64
import json
import random
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote_from_bytes

from tests.campaign.client import form
from tests.e2e import test_hostile_text as text
from tests.service.imaging.mutated import damaged, mutated
from tests.service.imaging.samples import samples

_UPLOAD_TYPES = ("application/octet-stream", "image/jpeg", "image/png", "application/x-www-form-urlencoded")
_FORM_TYPE = "multipart/form-data; boundary=b"
_ACCEPTS = ("application/json", "*/*", "image/png", "image/jpeg", "text/plain")


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        kind: What is damaged in it.
        content: Its bytes.
        framed: True if length and end of the request are sound: the service must answer it, and only once.
    """

    kind: str
    content: bytes
    framed: bool = True


def damaged_request(seed: int, number: int) -> Request:
    """Return a request: most often with a damaged image, else with a damaged form, JSON, query, path or head."""
    source = random.Random(f"{seed}-{number}")
    names = _names()
    image = damaged(source, names[number % len(names)])
    kinds = {"image": 50, "form": 10, "batch": 6, "json": 6, "inference": 6, "analyze": 4}
    kinds |= {"query": 8, "path": 4, "header": 6, "head": 4}
    (kind,) = source.choices(list(kinds), list(kinds.values()))
    match kind:
        case "image":
            headers = {"Content-Type": source.choice(_UPLOAD_TYPES), "Accept": source.choice(_ACCEPTS[:3])}
            return Request(kind, _request("/predict", headers, image))
        case "form" | "batch":
            route = "/predict" if kind == "form" else "/predict/batch"
            return Request(kind, _request(route, {"Content-Type": _boundary(source)}, _form(source, image)))
        case "json" | "inference" | "analyze":
            return Request(kind, _json_request(source, kind, image))
        case "query":
            return Request(kind, _request(f"/predict?{_query(source)}", {}, image))
        case "path":
            return Request(kind, _request(_path(source), {}, image))
        case "header":
            headers = {source.choice(list(text.HEADERS)): _text(source) for _ in range(source.randrange(1, 4))}
            return Request(kind, _request(source.choice(text.ALL), _safe(headers), b"x"), framed=False)
        case _:
            whole = _request(f"/predict?{_query(source)}", {"Content-Type": _FORM_TYPE}, _form(source, b"x"))
            head, end, body = whole.partition(b"\r\n\r\n")
            return Request(kind, mutated(source, head) + end + body, framed=False)


@cache
def _names() -> list[str]:
    return list(samples())


def _request(target: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = {"Host": "127.0.0.1", **headers}
    lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def _text(source: random.Random) -> str:
    """Return a text that may stand in a header, as Latin-1."""
    return text.encoded(source.choice(text.TEXTS)).decode("latin-1").replace("\x0b", "")


def _safe(headers: dict[str, str]) -> dict[str, str]:
    """Leave out what changes where the request ends or what it waits for."""
    return {name: value for name, value in headers.items() if name not in {"Upgrade", "Connection"}}


def _query(source: random.Random) -> str:
    names = source.choices(text.PARAMETERS, k=source.randrange(1, 4))
    values = (
        source.choice((quote_from_bytes(text.encoded(source.choice(text.TEXTS))), "1", "0.5")) for _ in names
    )
    return "&".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


def _path(source: random.Random) -> str:
    odd = quote_from_bytes(mutated(source, b"/predict/batch/./../%0a"), safe="/%.")
    return source.choice((f"/{odd}", f"/predict{odd}", f"/predict%{source.randrange(256):02x}", "/predict//batch"))


def _json_request(source: random.Random, kind: str, image: bytes) -> bytes:
    """Return a request with images in JSON, or behind it, in which some values and bytes are changed."""
    encoded, headers = base64.b64encode(image).decode(), {"Content-Type": "application/json"}
    name, datatype = source.choice(("images", "input")), source.choice(("BYTES", "UINT8"))
    tensor: dict[str, Any] = {"name": name, "datatype": datatype}
    path, content, behind = {
        "json": ("/predict", {"image": encoded, "boxes": [{"x": 1, "y": 2, "width": 30, "height": 40}]}, b""),
        "analyze": ("/analyze", {"img": encoded, "actions": ["emotion"], "enforce_detection": False}, b""),
        "inference": (
            "/v2/models/emotion/infer",
            {"inputs": [{**tensor, "shape": [source.randrange(3)], "data": [encoded]}]},
            b"",
        ),
    }[kind]
    if kind == "inference" and source.random() < 0.5:
        behind = len(image).to_bytes(4, "little") + image
        tensor["parameters"] = {"binary_data_size": len(behind) + source.choice((0, 0, 1, -1, 2**31))}
        content = {"inputs": [{**tensor, "shape": [1]}]}
    text = json.dumps(_changed(source, content)).encode()
    if behind:
        headers["Inference-Header-Content-Length"] = str(len(text) + source.choice((0, 0, 0, 1, -1)))
    return _request(path, headers, (mutated(source, text) if source.random() < 0.3 else text) + behind)


def _changed(source: random.Random, value: object) -> object:
    """Change a value of a JSON document here and there."""
    if source.random() < 0.05:
        return source.choice((None, True, -1, 1e309, 2**70, "", "\0", [], {}, [[[[]]]], "9" * 5000))
    if isinstance(value, dict):
        return {name: _changed(source, each) for name, each in value.items()}
    return [_changed(source, each) for each in value] if isinstance(value, list) else value


def _boundary(source: random.Random) -> str:
    if source.random() < 0.7:
        return _FORM_TYPE
    damaged_type = mutated(source, _FORM_TYPE.encode()).decode("latin-1")
    return "".join(
        character for character in damaged_type if character.isprintable() and character not in "\x85\xa0"
    )


def _form(source: random.Random, image: bytes) -> bytes:
    """Return a form in which lines and delimiters are lost, repeated, changed or in another order."""
    parts = form([image])[0].split(b"\r\n")
    for _ in range(source.randrange(4)):
        at, to = source.randrange(len(parts)), source.randrange(len(parts))
        match source.randrange(6):
            case 0:
                del parts[at]
            case 1:
                parts[at:at] = [parts[at]] * source.choice((1, 2, 40))
            case 2:
                parts[at], parts[to] = parts[to], parts[at]
            case 3:
                parts[at] = mutated(source, parts[at]) if parts[at] else b"--b--"
            case 4:
                parts[at:] = [parts[at][: source.randrange(len(parts[at]) + 1)]]
            case _:
                parts[at] += source.choice((b"\r", b"\n", b"-", b"--", b"\0", b";" * 99))
        if not parts:
            return b""
    return b"\r\n".join(parts)


def main() -> None:
    """Run the program."""
    sys.stdout.buffer.write(damaged_request(int(sys.argv[1]), int(sys.argv[2])).content)


if __name__ == "__main__":
    main()
