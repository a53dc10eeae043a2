"""Output to terminals and pipes of any encoding."""

import codecs
import io
import json
import sys

_ESCAPE = "fer-escape"


def escape_unencodable() -> None:
    """Let standard output and error show what their encoding lacks as JSON's escapes.

    Otherwise a single arrow ends a command where the encoding is not UTF-8: in the C locale, in Latin-1, and in
    pipes on Windows. The escapes keep JSON valid.
    """
    codecs.register_error(_ESCAPE, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPE)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
