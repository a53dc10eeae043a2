"""The one settings object: read from FER_ variables, frozen, and strict about what it does not know."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fer_service.contract.device import Device
from fer_service.contract.errors import SettingsError
from fer_service.contract.validation import first_error
from fer_service.system.cores import available_cores

PREFIX = "FER_"
# Pillow refuses headers beyond this whatever it is told.
_PILLOW_LIMIT = 178_956_970


class Settings(BaseSettings):
    """Everything that can be set, with its default; each field is the variable FER_ and its name."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    model: str = Field(
        "bundled",
        description="`bundled`, `large` (more accurate, three to six times the work; both in INT8 on a CPU), "
        "or the path of a bundle made by `fer-train export`",
    )
    detector: str = Field(
        "auto",
        description="`auto` (YuNet where its weights were pulled, else ours where it is there, else Haar), `own`, "
        "`yunet`, `haar`, or a file's path",
    )
    device: Device = Field(
        "auto", description="`auto` (CUDA where it binds, else the CPU), `cpu`, `cuda` or `tensorrt`"
    )
    cuda_graphs: bool = Field(False, description="record each batch size's GPU kernels once and replay them")
    tensorrt_cache: Path = Field(
        default_factory=lambda: platformdirs.user_cache_path("fer-service") / "tensorrt",
        description="folder that keeps TensorRT's engines, which take minutes to make",
    )
    workers: int = Field(1, ge=1, le=256, description="processes, each a whole replica")
    threads: int = Field(
        default_factory=available_cores, ge=1, le=1024, description="cores to use; the default obeys the CPU quota"
    )
    max_image_bytes: int = Field(20 * 2**20, ge=1, description="most bytes an image")
    max_image_pixels: int = Field(
        50_000_000, ge=1, le=_PILLOW_LIMIT, description="most pixels an image, width times height"
    )
    max_faces: int = Field(100, ge=1, le=10_000, description="most faces reported an image")
    min_score: float = Field(0.6, ge=0, le=1, description="faces below this detector score are left out")
    detect_side: int = Field(640, ge=64, le=4096, description="long side in pixels at which faces are looked for")
    coarse_side: int = Field(
        320,
        ge=0,
        le=4096,
        description="long side in pixels of a first look on a CPU, which does alone where it leaves no doubt; "
        "0, or more than half of FER_DETECT_SIDE, looks once",
    )
    max_batch: int = Field(64, ge=1, le=1024, description="most crops a run of the network")
    max_in_flight: int = Field(
        64, ge=1, description="most prediction requests and frames of streams at a time; more are answered 429"
    )
    max_streams: int = Field(64, ge=1, description="most streams open at a time; more are refused")
    max_per_client: int | None = Field(
        None, ge=1, description="most prediction requests and streams a client (a key, else an address) at a time"
    )
    max_batch_images: int = Field(16, ge=1, description="most images a request to /predict/batch")
    request_timeout: float = Field(30.0, gt=0, description="seconds until a request is answered 504")
    drain_delay: float = Field(
        0.0, ge=0, description="seconds that a process told to end still takes requests while it reports not ready"
    )
    api_keys_file: Path | None = Field(
        None, description="file of API keys, one a line; without it everybody may ask"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins of other web pages that may ask, with commas between, or `*`"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged"
    )
    log_format: Literal["json", "console"] = Field("console", description="one JSON object a line, or for people")
    access_log: bool = Field(False, description="a line a request: id, route, status, faces and stage times")

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            if origin != "*" and (
                parts.scheme not in {"http", "https"} or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError(f"{origin} is no origin; https://example.org or http://localhost:3000 are")
        return origins

    def as_environment(self) -> dict[str, str]:
        """Return FER_ variables that load back to equal settings.

        A setting that is None has no variable: the environment must hold no other FER_ variables.
        """
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            PREFIX + name.upper(): ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in values.items()
            if value is not None
        }


def load_settings(**overrides: Any) -> Settings:
    """Read the settings.

    Args:
        overrides: Fields that count more than their variables.

    Raises:
        SettingsError: a FER_ variable is unknown or has a bad value; the text names it.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise SettingsError(f"{name} is no setting; the settings are {', '.join(sorted(known))}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        mistake = first_error(error.errors())
        variable = PREFIX + mistake.place.partition(".")[0].upper()
        raise SettingsError(f"{variable}={mistake.given}: {mistake.message}") from error
