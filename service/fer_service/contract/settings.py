"""Settings of the service, read from FER_ environment variables; unknown variables are errors."""

import difflib
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fer_service.contract.device import Device
from fer_service.contract.errors import SettingsError
from fer_service.contract.validation import FieldError, field_errors
from fer_service.system.cores import available_cores
from fer_service.system.folders import cache_folder

PREFIX = "FER_"
_AND = ". Also: "  # between mistakes
_SECRET = "session_key"  # noqa: S105 (a name; its value is never shown)
_MOST_PIXELS = 178_956_970  # 512 MiB at 3 bytes each
_MOST_SECONDS = 86_400.0  # a day
_DEFAULT_PORT = re.compile(r"(http://[^/]*):80$|(https://[^/]*):443$")
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_OWN_PATHS = (
    "predict",
    "analyze",
    "stream",
    "model",
    "v2",
    "livez",
    "readyz",
    "metrics",
    "docs",
    "openapi.json",
    "web",
)
# Variables that Kubernetes sets for a Service named `fer` or `fer-…`
# (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
_SERVICE_LINK = re.compile(
    r"FER_(\w+_)?(SERVICE_HOST=.+|SERVICE_PORT(_\w+)?=\d+|PORT(_\d+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://.+"
    r"|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)=.+)"
)
_PROTECTING = ("FER_API_KEYS_FILE", "FER_ALLOWED_HOSTS")
_NAME = r"[a-z0-9_-]+(\.[a-z0-9_-]+)*"
_HOST = re.compile(rf"(\*\.)?{_NAME}|\*")
# Apps also have the host "." (app://.).
_ORIGIN_HOST = re.compile(rf"({_NAME}|\[[0-9a-f:.]+\])(:[0-9]{{1,5}})?|\.")


class Settings(BaseSettings):
    """All settings with their defaults. The variable of a field is FER_ and its name in capital letters.

    An empty variable counts as unset.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 chooses a free one")
    model: str = Field(
        "bundled",
        description="`bundled`, `large` (more accurate, 8 to 11 times slower per face; both use INT8 on a CPU), "
        "or the path of a model file made by `fer-train export`",
    )
    detector: str = Field(
        "auto",
        description="`auto` (YuNet if its file was downloaded, else the built-in detector), `own`, `yunet`, "
        "`haar`, or a file path",
    )
    device: Device = Field(
        "auto", description="`auto` (CUDA if available, else the CPU), `cpu`, `cuda` or `tensorrt`"
    )
    cuda_graphs: bool = Field(False, description="Record the GPU kernels of each batch size once and replay them")
    tensorrt_cache: Path = Field(
        default_factory=lambda: cache_folder() / "tensorrt",
        description="Folder for TensorRT engines, which take minutes to build",
    )
    workers: int = Field(
        1, ge=1, le=256, description="Number of processes; each is a full replica with `FER_THREADS` cores"
    )
    threads: int = Field(
        default_factory=available_cores,
        ge=1,
        le=1024,
        description="Number of CPU cores that each process uses. With several processes, set it to the cores "
        "divided by `FER_WORKERS`",
    )
    max_image_bytes: int = Field(20 * 2**20, ge=1, description="Maximum bytes per image")
    max_image_pixels: int = Field(
        51_000_000, ge=1, le=_MOST_PIXELS, description="Maximum pixels per image (width × height)"
    )
    decode_memory: int | None = Field(
        None,
        ge=2**20,
        description="Maximum bytes for the images that are decoded in child processes at the same time; "
        "if unset, three eighths of the container's memory limit, at most 1.25 GiB, shared by all workers",
    )
    max_faces: int = Field(100, ge=1, le=10_000, description="Maximum faces per image")
    min_score: float = Field(0.6, ge=0, le=1, description="Minimum detector score of a face")
    detect_side: int = Field(640, ge=64, le=4096, description="Long side in pixels at which faces are detected")
    coarse_first: bool = Field(
        True,
        description="On a CPU, search an image at its full scale only if a half and a quarter of it leave a doubt."
        " False finds more small faces next to large ones",
    )
    orientations: bool = Field(
        True,
        description="Also find faces in images that are rotated by 90, 180 or 270 degrees. False finds only "
        "upright faces, as streams and videos always do",
    )
    max_batch: int = Field(64, ge=1, le=1024, description="Maximum crops per inference batch")
    max_in_flight: int = Field(
        64, ge=1, description="Maximum prediction requests and stream frames in progress; more get 429"
    )
    max_streams: int = Field(64, ge=1, description="Maximum open streams; more are refused")
    max_per_client: int | None = Field(
        None,
        ge=1,
        description="Maximum sum of open requests (uploads and videos included) and streams per client (API key, "
        "else address; the /64 network of an IPv6 address)",
    )
    max_batch_images: int = Field(16, ge=1, description="Maximum images per request to /predict/batch")
    max_videos: int = Field(
        4, ge=0, description="Maximum videos in progress; more get 429. 0 turns /predict/video off"
    )
    max_video_bytes: int = Field(100 * 2**20, ge=1, description="Maximum bytes per video")
    max_video_pixels: int = Field(
        9_000_000, ge=1, le=_MOST_PIXELS, description="Maximum pixels per frame of a video (width × height)"
    )
    video_timeout: float = Field(
        600.0, gt=0, le=_MOST_SECONDS, description="Seconds after which a video ends with an error"
    )
    request_timeout: float = Field(
        30.0, gt=0, le=_MOST_SECONDS, description="Seconds after which a request fails with 504"
    )
    drain_delay: float = Field(
        0.0,
        ge=0,
        le=_MOST_SECONDS,
        description="Seconds after SIGTERM for which new requests are still accepted; /readyz fails at once",
    )
    api_keys_file: Path | None = Field(
        None, description="File of API keys, one per line. If unset, authentication is disabled"
    )
    session_key: str = Field(
        default_factory=lambda: secrets.token_urlsafe(24),
        min_length=16,
        repr=False,
        description="Secret that signs session tokens (`session=`), at least 16 characters, the same on all "
        "machines of a service; if unset, a new one at each start",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins that may call the API from a browser, separated by commas, or `*`"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Addresses or networks of reverse proxies, separated by commas, such as 10.0.0.0/8. Only "
        "their X-Forwarded-For, -Proto, -Host and -Port headers count",
    )
    root_path: str = Field(
        "",
        description="Path below which a reverse proxy publishes the service, such as `/fer`, whether or not the "
        "proxy removes it",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",),
        min_length=1,
        description="Hosts that requests may name, separated by commas, such as `fer.example,*.fer.example`; "
        "others get 421. `*` allows all",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum level of log lines"
    )
    log_format: Literal["json", "console"] = Field(
        "console", description="`json` (one JSON object per line) or `console` (plain text)"
    )
    access_log: bool = Field(
        False, description="Log one line per request: id, route, status, faces and stage times"
    )

    @field_validator("port", mode="before")
    @classmethod
    def _without_service_link(cls, value: object) -> object:
        return cls.model_fields["port"].default if _is_service_link("FER_PORT", str(value)) else value

    @field_validator("device", "log_level", "log_format", mode="before")
    @classmethod
    def _in_small_letters(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("model", "detector")
    @classmethod
    def _check_file(cls, name: str) -> str:
        if "://" in name:
            raise ValueError("must be a file, not an address: download it first")
        return name

    @field_validator("cors_origins", "trusted_proxies", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        # Browsers send small letters and no default port.
        origins = tuple(_DEFAULT_PORT.sub(r"\1\2", origin.lower()) for origin in origins)
        for origin in origins:
            parts = urlsplit(origin)
            if origin != "*" and (
                origin != f"{parts.scheme}://{parts.netloc}" or not _ORIGIN_HOST.fullmatch(parts.netloc)
            ):
                raise ValueError(
                    f"invalid origin {origin}; valid are https://example.org, capacitor://localhost, or * for all"
                )
        return origins

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, path: str) -> str:
        path = path.rstrip("/")
        if path and not _ROOT_PATH.fullmatch(path):
            raise ValueError("must be a path such as /fer, of letters, digits and . _ ~ -")
        if path.startswith(tuple(f"/{own}/" for own in _OWN_PATHS)) or path[1:] in _OWN_PATHS:
            raise ValueError("must not begin with a path of the service, such as /predict")
        return path

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ip_network(proxy)
            except ValueError as error:
                raise ValueError(f"invalid address {proxy}; valid are 10.0.0.7 or 10.0.0.0/8") from error
        return proxies

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        hosts = tuple(host.lower().removesuffix(".").strip("[]") for host in hosts)
        for host in hosts:
            if not _HOST.fullmatch(host) and not _is_ipv6(host):
                raise ValueError(f"invalid host {host}; valid are fer.example or *.fer.example, without a port")
        return hosts

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
        overrides: Fields that override their variables.

    Raises:
        SettingsError: FER_ variables are unknown or invalid; the message names all of them.
    """
    given = {name: value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
    mistakes = [
        *_unknown(given),
        *(
            f"{name} is empty: give a value, or unset the variable to run without this protection"
            for name, value in given.items()
            if name.upper() in _PROTECTING and not value
        ),
    ]
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        mistakes += map(_sentence, field_errors(error.errors()))
        raise SettingsError(_AND.join(mistakes)) from error
    if mistakes:
        raise SettingsError(_AND.join(mistakes))
    return settings


def _unknown(given: Mapping[str, str]) -> Iterator[str]:
    fields = [field.upper() for field in Settings.model_fields]
    is_listed = False
    for name, value in given.items():
        word = name.upper().removeprefix(PREFIX)
        if word in fields or _is_service_link(name, value):
            continue
        if close := difflib.get_close_matches(word, fields, n=1, cutoff=0.7):
            yield f"unknown setting {name}; did you mean {PREFIX}{close[0]}?"
        elif is_listed:
            yield f"unknown setting {name}"
        else:
            is_listed = True
            settings = ", ".join(PREFIX + field for field in sorted(fields))
            yield f"unknown setting {name}; the settings are {settings}"


def _sentence(error: FieldError) -> str:
    variable = PREFIX + error.path.partition(".")[0].upper()
    return (
        f"{variable}: {error.message}" if error.path == _SECRET else f"{variable}={error.value}: {error.message}"
    )


def _is_ipv6(host: str) -> bool:
    try:
        return ip_address(host).version == 6
    except ValueError:
        return False


def _is_service_link(name: str, value: str) -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ and bool(_SERVICE_LINK.fullmatch(f"{name}={value}"))
