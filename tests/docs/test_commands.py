import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.docs.conftest import Workspace
from tests.docs.markdown import PAGES, ROOT, Block, all_blocks
from tests.docs.programs import check, commands
from tests.e2e.conftest import Server

SHELL = all_blocks("sh", "bash", "console")
ADDRESS = "127.0.0.1:8000"


def test_shell_blocks_say_sh() -> None:
    assert {block.language for block in SHELL} == {"sh"}


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_every_command_parses(block: Block) -> None:
    for words in commands(block.text):
        check(words)


@pytest.mark.parametrize("block", [block for block in SHELL if not block.not_run], ids=str)
def test_a_shell_block_runs_as_printed(block: Block, workspace: Workspace, request: pytest.FixtureRequest) -> None:
    text = block.text
    if "curl" in text:
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        server: Server = request.getfixturevalue("own_server")
        text = text.replace("curl ", "curl --fail-with-body ").replace(ADDRESS, server.url.removeprefix("http://"))
    ended = workspace.run("bash", "-euo", "pipefail", "-c", text)
    assert ended.returncode == 0, (
        f"{ended.stdout}{ended.stderr}\nCorrect the block, or put `<!-- not run: REASON -->` before it."
    )
    for output in re.findall(r"(?:--out|--annotate|-o|>>) (\S+)", text):
        assert (workspace.path / output).stat().st_size > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_inline_commands_name_existing_programs(page: Path) -> None:
    text = page.read_text("utf-8")
    for module in re.findall(r"-m (fer_benchmarks(?:\.\w+)+)", text):
        assert (ROOT / "benchmarks" / f"{module.replace('.', '/')}.py").is_file(), module
    for target in re.findall(r"`make ([a-z-]+)", text):
        check(["make", target])
    for line in re.findall(r"`(\.venv[\w-]*/[^`\n]+)`", text):
        check(shlex.split(line))


@pytest.mark.parametrize("block", all_blocks("python"), ids=str)
def test_a_python_block_runs_as_printed(
    block: Block, workspace: Workspace, request: pytest.FixtureRequest
) -> None:
    text = block.text
    if ADDRESS in text:
        server: Server = request.getfixturevalue("own_server")
        text = text.replace(ADDRESS, server.url.removeprefix("http://"))
    ended = workspace.run(".venv/bin/python", "-X", "dev", "-c", text)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


def test_the_readme_shows_both_make_commands_and_one_request() -> None:
    (first, second, *_) = [block.text for block in SHELL if block.page == "README.md"]
    assert [words[:2] for words in commands(first)] == [["make", "serve"], ["make", "test"]]
    assert second.startswith("curl ")


def test_every_reason_for_not_running_belongs_to_a_block() -> None:
    reasons = sum(
        page.read_text("utf-8").count("<!-- not run: ") for page in PAGES if page.name != "CONTRIBUTING.md"
    )
    assert reasons == sum(bool(block.not_run) for block in all_blocks("sh", "python"))


def test_make_help_lists_targets(workspace: Workspace) -> None:
    ended = workspace.run("make", "--silent", "help")
    assert {"serve", "test", "docs"} <= {line.split()[0] for line in ended.stdout.splitlines()}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("make bake", "unknown target"),
        ("fer-service predict photo.jpg", "unknown program"),
        (".venv/bin/fer-service forget photo.jpg", "unknown subcommand"),
        (".venv/bin/fer-service predict photo.jpg --jsn", "unknown option --jsn"),
        (".venv/bin/python -m fer_benchmarks.memory --dat x", "unknown option --dat"),
        ("FER_MODLE=mine.onnx make serve", "unknown setting FER_MODLE"),
        ("docker compose -f docker/compose.tpu.yml up", "missing file"),
    ],
)
def test_a_wrong_command_is_found(line: str, message: str) -> None:
    (words,) = commands(line)
    with pytest.raises(AssertionError, match=message):
        check(words)
