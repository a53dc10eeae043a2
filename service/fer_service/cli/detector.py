"""`fer-service detector`."""

from pathlib import Path
from typing import Annotated

import typer

from fer_service.contract.text import printable
from fer_service.detection.weights import YUNET


def pull(
    source: Annotated[
        Path | None, typer.Option("--from", help="Use this local file instead of the download.")
    ] = None,
) -> None:
    """Download the weights of YuNet into the user's cache folder and check them."""
    print(printable(YUNET.store(source) if source else YUNET.pull()))
