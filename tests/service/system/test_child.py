import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fer_service.system.child import Child, ChildEnded, ChildKilled
from fer_service.system.memory import resident_bytes

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs Unix")


def always() -> bool:
    return True


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    started = Child("tests.service.system.answering")
    yield started
    started.kill()


def pid_of(child: Child) -> int:
    child.send({"do": "echo", "say": ""})
    pid = child.receive(always).content["pid"]
    assert isinstance(pid, int)
    return pid


def open_descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_a_signal_from_the_terminal_does_not_reach_it_while_it_starts(child: Child) -> None:
    assert os.getpgid(pid_of(child)) != os.getpgrp()


def test_it_answers_one_message_after_the_other(child: Child) -> None:
    for size in (0, 1, 3_000_000):
        child.send({"do": "echo", "say": "ä"}, bytes(size))
        content, array = child.receive(always)
        assert (content["said"], content["size"], array) == ("ä", size, None)
    assert child.alive


@pytest.mark.parametrize("shape", [(2, 3, 3), (1200, 1000, 3)])
def test_an_array_comes_back_as_it_was(child: Child, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    before = open_descriptors()
    for _ in range(3):
        child.send({"do": "array", "as": shape}, array.tobytes())
        answer = child.receive(always).array
        assert answer is not None
        np.testing.assert_array_equal(answer, array)
    assert open_descriptors() <= before + 1, "only the last array is still mapped"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_it_keeps_no_memory_of_its_last_message(child: Child) -> None:
    pid = pid_of(child)
    before = resident_bytes(pid)
    array = np.ones((4000, 4000, 3), np.uint8)
    child.send({"do": "array", "as": array.shape}, array.tobytes())
    assert child.receive(always).array is not None
    until = time.monotonic() + 10
    while (more := resident_bytes(pid) - before) > 10_000_000 and time.monotonic() < until:
        time.sleep(0.01)  # it frees the memory after it has answered
    assert more <= 10_000_000


def test_it_is_killed_when_its_answer_is_no_longer_wanted(child: Child) -> None:
    asked = 0

    def wanted() -> bool:
        nonlocal asked
        asked += 1
        return asked < 3

    child.send({"do": "sleep"})
    began = time.monotonic()
    with pytest.raises(ChildKilled):
        child.receive(wanted)
    assert time.monotonic() - began < 5
    assert not child.alive


def test_a_child_that_takes_no_message_is_waited_for_until_its_answer_is_no_longer_wanted(child: Child) -> None:
    os.kill(pid_of(child), signal.SIGSTOP)
    answers = [True] * 3
    with pytest.raises(ChildKilled):
        child.send({"do": "echo", "say": ""}, bytes(5_000_000), lambda: bool(answers) and answers.pop())
    assert not answers
    assert not child.alive


def test_a_crash_says_which_signal_it_was(child: Child) -> None:
    child.send({"do": "die", "signal": signal.SIGSEGV})
    with pytest.raises(ChildEnded) as ended:
        child.receive(always)
    assert ended.value.status == -signal.SIGSEGV


def test_a_child_that_ended_before_it_was_asked_is_reported(child: Child) -> None:
    os.kill(pid_of(child), signal.SIGKILL)
    with pytest.raises(ChildEnded) as ended:
        child.send({"do": "echo", "say": ""}, bytes(10_000_000))
    assert ended.value.status == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_answers_although_the_whole_group_gets_a_stop_signal(child: Child, number: signal.Signals) -> None:
    pid = pid_of(child)
    os.kill(pid, number)
    assert pid_of(child) == pid


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_is_limited_beyond_what_it_has(child: Child) -> None:
    for allocated, limit, refused in ((2**27, 2**28, False), (2**28, 2**27, True), (2**27, 2**28, False)):
        child.send({"do": "allocate", "bytes_": allocated, "limit": limit})
        assert child.receive(always).content.get("refused", False) is refused


def test_the_kernel_ends_a_child_whose_cpu_time_is_used_up(child: Child) -> None:
    child.send({"do": "spin"})
    with pytest.raises(ChildEnded) as ended:
        child.receive(always)
    assert ended.value.status in (-signal.SIGXCPU, -signal.SIGKILL)


def test_it_yields_its_cpu_time_to_others(child: Child) -> None:
    child.send({"do": "niceness"})
    assert child.receive(always).content["nice"] >= min(os.nice(0) + 7, 19)


def test_it_ends_when_its_parent_has_gone(child: Child) -> None:
    pid = pid_of(child)
    child._channel.close()
    assert child._process.wait(10) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
