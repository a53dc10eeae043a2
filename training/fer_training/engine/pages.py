"""Self-contained HTML pages: templates and embedded figures."""

import base64
import io
from importlib import resources
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

_DOTS_PER_INCH = 100


def page_template(name: str) -> jinja2.Template:
    """Load a template by file name. It extends the shared base page."""
    text = (resources.files("fer_training") / "templates" / name).read_text(encoding="utf-8")
    shared = (resources.files("fer_training") / "templates" / "base.html.j2").read_text(encoding="utf-8")
    loader = jinja2.DictLoader({"base": shared, "page": text})
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template(
        "page"
    )


def png_base64(figure: Figure) -> str:
    """Return the figure as a base64-encoded PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH)
    return base64.b64encode(buffer.getvalue()).decode()


def save_png(figure: Figure, path: Path) -> str:
    """Write the figure as a PNG file. Return the same PNG, base64-encoded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DOTS_PER_INCH)
    return base64.b64encode(path.read_bytes()).decode()
