"""Virtual environments of the peers, separate from the service's own."""

import os
import subprocess
import venv
from pathlib import Path

import fer_service

import fer_benchmarks

# The service's requirements that its pipeline needs; each peer's package chooses the rest.
_PIPELINE = ("numpy", "onnxruntime", "opencv-python-headless<5", "pillow", "platformdirs", "pydantic-settings")
_SHARED = ("python-multipart", "typer")
SERVERS = {
    "uvicorn alone": ("uvicorn_app", ("uvicorn[standard]",)),
    "plain FastAPI": ("fastapi_app", ("fastapi", "uvicorn")),
    "LitServe": ("litserve_app", ("litserve",)),
    "BentoML": ("bentoml_app", ("bentoml",)),
    "Ray Serve": ("ray_app", ("ray[serve]",)),
}
# A product gets what it needs to start: OpenCV 5 has no cascades, fer imports pkg_resources, deepface imports
# werkzeug, and onnx writes DeepFace's random weights.
PRODUCTS = {
    "fer_product": ("fer", "opencv-contrib-python<5", "setuptools<81"),
    "deepface_product": ("deepface", "opencv-contrib-python-headless<5", "werkzeug", "onnx"),
}
# Value of PYTHONPATH with which a peer's environment imports the service and the benchmarks.
PYTHON_PATH = os.pathsep.join(
    str(Path(package.__file__ or "").parents[1]) for package in (fer_service, fer_benchmarks)
)


def server_python(name: str, folder: Path) -> Path:
    """Return the interpreter of a server's environment; create the environment in `folder` if it is missing."""
    module, packages = SERVERS[name]
    return _ensure_environment(folder / module, (*_PIPELINE, *_SHARED, *packages))


def product_python(module: str, folder: Path) -> Path:
    """Return the interpreter of a product's environment; create the environment in `folder` if it is missing."""
    return _ensure_environment(folder / module, PRODUCTS[module])


def _ensure_environment(folder: Path, packages: tuple[str, ...]) -> Path:
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        venv.create(folder, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(command, check=True)  # noqa: S603 (fixed names)
        complete.touch()
    return python
