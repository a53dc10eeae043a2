"""An environment for each peer, made once; none of them ever enters the service's own."""

import subprocess
import venv
from pathlib import Path

# What the line needs of the service's own requirements; the peers decide about the rest.
_LINE = ("numpy", "onnxruntime", "opencv-python-headless<5", "pillow", "platformdirs", "pydantic-settings")
_SHARED = ("python-multipart", "typer")
PEERS = {
    "uvicorn alone": ("bare_asgi", ("uvicorn[standard]",)),
    "naive FastAPI": ("naive_fastapi", ("fastapi", "uvicorn")),
    "LitServe": ("litserve_app", ("litserve",)),
    "BentoML": ("bentoml_app", ("bentoml",)),
    "Ray Serve": ("ray_app", ("ray[serve]",)),
}
# Beside a product only what it needs to start at all: OpenCV 5 has no cascades, fer reads pkg_resources, deepface
# imports werkzeug; onnx writes the stand-in for deepface's weights.
PRODUCTS = {
    "fer_product": ("fer", "opencv-contrib-python<5", "setuptools<81"),
    "deepface_product": ("deepface", "opencv-contrib-python-headless<5", "werkzeug", "onnx"),
}


def python_of(peer: str, folder: Path) -> Path:
    """The interpreter of a peer's environment under `folder`, made if it is not there."""
    module, packages = PEERS[peer]
    return _made(folder / module, (*_LINE, *_SHARED, *packages))


def python_of_product(module: str, folder: Path) -> Path:
    """The interpreter of a product's environment under `folder`, made if it is not there."""
    return _made(folder / module, PRODUCTS[module])


def _made(place: Path, packages: tuple[str, ...]) -> Path:
    python = place / "bin" / "python"
    if not (place / "made").exists():
        venv.create(place, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(command, check=True)  # noqa: S603 (fixed names)
        (place / "made").touch()
    return python
