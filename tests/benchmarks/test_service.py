from pathlib import Path

import pytest
from fer_benchmarks.service import first_api_key, service_environment
from fer_service.contract.errors import StartError
from fer_service.contract.settings import load_settings


def test_the_server_gets_the_settings_and_a_free_local_port(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        host="0.0.0.0", port=80, cors_origins=("https://example.org", "https://example.net"), log_level="error"
    )
    for name, value in service_environment(settings).items():
        monkeypatch.setenv(name, value)
    local = {"host": "127.0.0.1", "port": 0, "log_level": "info"}
    assert load_settings() == settings.model_copy(update=local)


def test_the_first_key_of_the_file_is_used(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# two clients\n\n  first-key-of-sixteen  # mobile app\nsecond-key-of-sixteen\n")
    assert first_api_key(path) == "first-key-of-sixteen"


@pytest.mark.parametrize("content", ["", "# revoked\n"])
def test_a_file_without_keys_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(StartError, match="has no key"):
        first_api_key(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot read the file"):
        first_api_key(tmp_path / "keys")
