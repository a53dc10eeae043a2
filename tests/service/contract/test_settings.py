import re
from pathlib import Path
from typing import Any

import pytest
from fer_service.contract.errors import SettingsError
from fer_service.contract.settings import Settings, load_settings
from fer_service.detection.weights import YUNET
from pydantic import ValidationError


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_variables_set_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_PORT", "9000")
    monkeypatch.setenv("FER_MIN_SCORE", "0.75")
    monkeypatch.setenv("FER_LOG_FORMAT", "json")
    settings = load_settings()
    assert (settings.port, settings.min_score, settings.log_format) == (9000, 0.75, "json")


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_CORS_ORIGINS", "https://example.org, http://localhost:3000,")
    assert load_settings().cors_origins == ("https://example.org", "http://localhost:3000")


def test_overrides_win_over_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_PORT", "9000")
    assert load_settings(port=9001).port == 9001


@pytest.mark.parametrize(
    ("name", "said"),
    [("FER_MAX_FACE", r"did you mean FER_MAX_FACES\?"), ("FER_TIGERS", "the settings are .*FER_MAX_FACES")],
)
def test_an_unknown_variable_is_an_error_with_what_was_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setenv(name, "3")
    with pytest.raises(SettingsError, match=rf"unknown setting {name}; {said}"):
        load_settings()


def test_choices_may_have_capital_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LOG_LEVEL": "INFO", "LOG_FORMAT": "JSON", "DEVICE": "CPU"}.items():
        monkeypatch.setenv(f"FER_{name}", value)
    settings = load_settings()
    assert (settings.log_level, settings.log_format, settings.device) == ("info", "json", "cpu")


@pytest.mark.parametrize("name", ["model", "detector"])
def test_an_address_is_no_file(name: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"FER_{name.upper()}=https://x/y\.onnx: must be a file, not an address"
    ):
        load_settings(**{name: "https://x/y.onnx"})


def test_all_mistakes_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MODLE": "x", "TIGERS": "1", "LIONS": "1", "PORT": "http", "WORKERS": "0"}.items():
        monkeypatch.setenv(f"FER_{name}", value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    text = str(refused.value)
    for part in (
        "unknown setting FER_MODLE; did you mean FER_MODEL?. Also: unknown setting FER_TIGERS; the settings are ",
        ". Also: unknown setting FER_LIONS. Also: ",
        "FER_PORT=http: must be a whole number. Also: FER_WORKERS=0: must be at least 1",
    ):
        assert part in text
    assert text.count("the settings are") == 1


SERVICE_LINKS = {
    "FER_SERVICE_HOST": "10.96.0.7",
    "FER_SERVICE_PORT": "80",
    "FER_SERVICE_PORT_HTTP": "80",
    "FER_PORT": "tcp://10.96.0.7:80",
    "FER_PORT_80_TCP": "tcp://10.96.0.7:80",
    "FER_PORT_80_TCP_ADDR": "10.96.0.7",
    "FER_SERVICE_SERVICE_PORT": "80",
    "FER_SERVICE_PORT_80_TCP_PROTO": "tcp",
}


def test_what_kubernetes_sets_for_a_service_of_that_name_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICE_LINKS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError):
        load_settings()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert load_settings().port == 8000
    monkeypatch.setenv("FER_PORT", "9000")
    assert load_settings().port == 9000
    monkeypatch.setenv("FER_METRICS_PORT", "9100")
    with pytest.raises(SettingsError, match="unknown setting FER_METRICS_PORT"):
        load_settings()


def test_a_secret_that_is_too_short_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_SESSION_KEY", "too secret")
    with pytest.raises(SettingsError, match=r"^FER_SESSION_KEY: must have at least 16 characters$"):
        load_settings()


def test_other_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRET", "1")
    monkeypatch.setenv("PORT", "1")
    assert load_settings().port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("DEVICE", "gpu"),
        ("WORKERS", "0"),
        ("THREADS", "0"),
        ("MAX_IMAGE_BYTES", "0"),
        ("MAX_IMAGE_PIXELS", "0"),
        ("MAX_IMAGE_PIXELS", "200000000"),
        ("MAX_FACES", "0"),
        ("MIN_SCORE", "1.01"),
        ("MIN_SCORE", "nan"),
        ("DETECT_SIDE", "63"),
        ("MAX_BATCH", "1025"),
        ("MAX_IN_FLIGHT", "0"),
        ("MAX_PER_CLIENT", "0"),
        ("MAX_BATCH_IMAGES", "0"),
        ("MAX_VIDEOS", "-1"),
        ("MAX_VIDEO_BYTES", "0"),
        ("MAX_VIDEO_PIXELS", "0"),
        ("VIDEO_TIMEOUT", "0"),
        ("REQUEST_TIMEOUT", "0"),
        ("REQUEST_TIMEOUT", "soon"),
        ("DRAIN_DELAY", "-1"),
        ("CORS_ORIGINS", "example.org"),
        ("CORS_ORIGINS", "https://example.org/page"),
        ("CORS_ORIGINS", "https://example.org, //example.org"),
        ("ACCESS_LOG", "loud"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("REQUEST_TIMEOUT", "inf"),
        ("VIDEO_TIMEOUT", "nan"),
        ("DRAIN_DELAY", "1e308"),
        ("ALLOWED_HOSTS", "127.0.0.1:8000"),
        ("ALLOWED_HOSTS", "a:80"),
        ("CORS_ORIGINS", "https://*.example.org"),
        ("CORS_ORIGINS", "https://user@example.org"),
        ("CORS_ORIGINS", "https://example.org x"),
    ],
)
def test_an_invalid_value_is_an_error_that_names_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FER_{name}", value)
    with pytest.raises(SettingsError, match=rf"^FER_{name}={re.escape(value)}: .+"):
        load_settings()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "MODEL", "DETECTOR", "THREADS", "ROOT_PATH", "CORS_ORIGINS", "SESSION_KEY", "LOG_LEVEL"):
        monkeypatch.setenv(f"FER_{name}", "")
    settings = load_settings()
    assert (settings.host, settings.model, settings.detector) == ("127.0.0.1", "bundled", "auto")


@pytest.mark.parametrize("name", ["FER_API_KEYS_FILE", "FER_ALLOWED_HOSTS"])
def test_what_protects_the_service_is_not_turned_off_by_an_empty_variable(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "")
    with pytest.raises(SettingsError, match=f"{name} is empty"):
        load_settings()


def test_a_user_without_a_home_folder_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("platformdirs.user_cache_path", missing)
    assert load_settings().tensorrt_cache == Path("/nonexistent/fer-service/tensorrt")
    assert not YUNET.path.exists()  # so `auto` takes the built-in detector


@pytest.mark.parametrize(
    "origin", ["capacitor://localhost", "tauri://localhost", "app://.", "chrome-extension://abcdefgh"]
)
def test_apps_are_origins_too(origin: str) -> None:
    assert load_settings(cors_origins=origin).cors_origins == (origin,)


OTHER_VALUES: dict[str, Any] = {
    "host": "0.0.0.0",
    "port": 9000,
    "model": "models/large one.onnx",
    "detector": "own",
    "device": "cpu",
    "cuda_graphs": True,
    "tensorrt_cache": Path("/tmp/engines"),
    "workers": 3,
    "threads": 7,
    "max_image_bytes": 1000,
    "max_image_pixels": 2000,
    "decode_memory": 3_000_000,
    "max_faces": 5,
    "min_score": 0.123456789012345,
    "detect_side": 512,
    "coarse_first": False,
    "orientations": False,
    "max_batch": 8,
    "max_in_flight": 9,
    "max_streams": 10,
    "max_per_client": 11,
    "max_batch_images": 12,
    "max_videos": 13,
    "max_video_bytes": 14,
    "max_video_pixels": 15,
    "video_timeout": 16.5,
    "request_timeout": 1.5,
    "drain_delay": 2.5,
    "api_keys_file": Path("/etc/fer/keys"),
    "session_key": "a secret of sixteen characters or more",
    "cors_origins": ("https://example.org", "http://localhost:3000"),
    "trusted_proxies": ("10.0.0.0/8", "::1"),
    "root_path": "/fer",
    "allowed_hosts": ("fer.example", "*.fer.example"),
    "log_level": "error",
    "log_format": "json",
    "access_log": True,
}


def test_every_setting_survives_a_round_trip_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(**OTHER_VALUES)
    assert OTHER_VALUES.keys() == Settings.model_fields.keys()
    defaults = load_settings()
    assert all(getattr(defaults, name) != value for name, value in OTHER_VALUES.items())
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_the_defaults_survive_a_round_trip_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_settings_are_frozen() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]
