import sys
from pathlib import Path

import pytest
from fer_service.system.program import as_typed


@pytest.mark.parametrize(
    ("started", "typed"),
    [
        (".venv/bin/fer-service", ".venv/bin/fer-service"),
        ("{here}/.venv/bin/fer-service", ".venv/bin/fer-service"),
        ("/my venv/bin/fer-service", "'/my venv/bin/fer-service'"),
        ("/src/fer_service/__main__.py", ".venv/bin/python -m fer_service"),
        ("{here}/bin/fer-service", "fer-service"),
        ("/usr/bin/pytest", "fer-service"),
        ("", "fer-service"),
    ],
)
def test_a_hint_names_the_program_as_the_user_started_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, started: str, typed: str
) -> None:
    on_path = tmp_path / "bin" / "fer-service"
    on_path.parent.mkdir()
    on_path.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(on_path.parent))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.setattr(sys, "argv", [started.format(here=tmp_path)])
    assert as_typed("fer-service", "fer_service") == typed


def test_a_hint_in_a_folder_that_was_deleted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    monkeypatch.setattr("sys.argv", ["/opt/fer/bin/fer-service"])
    assert as_typed("fer-service", "fer_service") == "/opt/fer/bin/fer-service"
