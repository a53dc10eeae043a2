import signal
import sys

import pytest
from fer_benchmarks.server_process import ServerProcess
from fer_service.contract.errors import StartError

READY = "print('serving on http://127.0.0.1:1234', flush=True); "
WAIT = "import signal; signal.pause(); "


def server(code: str, **environment: str) -> ServerProcess:
    return ServerProcess(environment, [sys.executable, "-c", code])


def test_the_address_comes_from_the_log() -> None:
    with server(READY + WAIT) as running:
        assert running.url == "http://127.0.0.1:1234"
        assert "serving on" in running.log


def test_a_given_address_needs_no_log() -> None:
    with ServerProcess({}, [sys.executable, "-c", WAIT], url="http://127.0.0.1:1") as running:
        assert running.url == "http://127.0.0.1:1"


def test_a_server_that_ends_is_an_error_with_its_log() -> None:
    with pytest.raises(StartError, match="did not start: no such model"), server("print('no such model')"):
        pass


def test_standard_error_is_in_the_log() -> None:
    running = server("import sys; sys.exit('invalid setting')")
    assert running.wait() == 1
    assert running.log == "invalid setting\n"
    assert running.url == ""


def test_terminate_sends_sigterm_and_returns_the_exit_status() -> None:
    running = server("import signal; signal.signal(signal.SIGTERM, lambda *_: exit(3)); " + READY + WAIT)
    running.wait_until_ready()
    assert running.terminate() == 3


def test_a_server_that_ignores_sigterm_is_killed_by_close() -> None:
    running = server("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY + WAIT)
    running.wait_until_ready()
    running.close()
    assert running.process.returncode == -signal.SIGKILL


def test_much_output_does_not_block_the_server() -> None:
    running = server(READY + "print('x' * 1_000_000)")
    assert running.wait() == 0
    assert running.log.endswith("x" * 1_000_000 + "\n")


def test_fer_variables_are_given_and_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_WORKERS", "4")
    running = server("import os; print(os.getenv('FER_WORKERS'), os.getenv('FER_MODEL'))", FER_MODEL="large")
    running.wait()
    assert running.log == "None large\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_replicas_counts() -> None:
    replica = "x = bytearray(60 << 20); print(flush=True); import signal; signal.pause()"
    start = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {replica!r}], stdout=subprocess.PIPE); "
        "child.stdout.readline(); print(child.pid, flush=True); "
    )
    with server(start + READY + WAIT) as running:
        assert running.replicas == [int(running.log.split()[0])]
        assert running.rss > 60
        usage = running.usage()
    assert usage is not None
    assert usage.peak >= usage.memory


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_cpu_time_is_measured() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass\n"
    with server(busy + READY + WAIT) as running:
        usage, idle = running.usage(), running.idle_cpu(0.5)
    assert usage is not None
    assert 0.25 <= usage.cpu < 0.6
    assert idle is not None
    assert idle < 0.1  # the system counts in hundredths of a second
