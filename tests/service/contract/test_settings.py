import re

import pytest
from fer_service.contract.errors import SettingsError
from fer_service.contract.settings import Settings, load_settings
from pydantic import ValidationError


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_variables_set_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_PORT", "9000")
    monkeypatch.setenv("FER_MIN_SCORE", "0.75")
    monkeypatch.setenv("FER_LOG_FORMAT", "json")
    settings = load_settings()
    assert (settings.port, settings.min_score, settings.log_format) == (9000, 0.75, "json")


def test_origins_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_CORS_ORIGINS", "https://example.org, http://localhost:3000,")
    assert load_settings().cors_origins == ("https://example.org", "http://localhost:3000")


def test_what_is_given_counts_more_than_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_PORT", "9000")
    assert load_settings(port=9001).port == 9001


def test_an_unknown_variable_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_MAX_FACE", "3")
    with pytest.raises(SettingsError, match=r"FER_MAX_FACE is no setting; .*FER_MAX_FACES"):
        load_settings()


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
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
        ("REQUEST_TIMEOUT", "0"),
        ("REQUEST_TIMEOUT", "soon"),
        ("DRAIN_DELAY", "-1"),
        ("CORS_ORIGINS", "example.org"),
        ("CORS_ORIGINS", "https://example.org/page"),
        ("CORS_ORIGINS", "https://example.org, ftp://example.org"),
        ("ACCESS_LOG", "loud"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_value_is_refused_and_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"FER_{name}", value)
    with pytest.raises(SettingsError, match=rf"^FER_{name}={re.escape(value)}: .+"):
        load_settings()


def test_settings_are_frozen() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]
