"""Self-contained HTML pages: their templates, and figures as text within them."""

import base64
import io
from importlib import resources
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

_DOTS_PER_INCH = 100


def page_template(name: str) -> jinja2.Template:
    """The template of this name, on top of what all pages share."""
    text = (resources.files("fer_training") / "templates" / name).read_text(encoding="utf-8")
    shared = (resources.files("fer_training") / "templates" / "base.html.j2").read_text(encoding="utf-8")
    loader = jinja2.DictLoader({"base": shared, "page": text})
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template(
        "page"
    )


def encoded(figure: Figure) -> str:
    """The figure as a PNG in base64."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH)
    return base64.b64encode(buffer.getvalue()).decode()


def saved(figure: Figure, path: Path) -> str:
    """Write the figure as a PNG file; returns its content in base64."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DOTS_PER_INCH)
    return base64.b64encode(path.read_bytes()).decode()
