import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import pytest
from fer_service.http.lifecycle import Lifecycle, Phase

SECONDS = 10


class Server:
    """What a server's own handler of the signal would be."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.event = asyncio.Event()

    def __call__(self, number: int, frame: object) -> None:
        self.heard.append(number)
        self.event.set()


@pytest.fixture(autouse=True)
def _own_handler_stays() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def install() -> Server:
    server = Server()
    signal.signal(signal.SIGTERM, server)
    return server


def test_a_process_starts_then_is_ready_then_drains() -> None:
    async def scenario() -> None:
        lifecycle = Lifecycle()
        phases = [lifecycle.phase]
        with lifecycle.serving(0):
            phases.append(lifecycle.phase)
        assert [*phases, lifecycle.phase] == [Phase.STARTING, Phase.READY, Phase.DRAINING]

    asyncio.run(scenario())


def test_without_a_delay_the_server_hears_at_once() -> None:
    async def scenario() -> None:
        server, lifecycle = install(), Lifecycle()
        with lifecycle.serving(0):
            end()
            await asyncio.wait_for(server.event.wait(), SECONDS)
            assert lifecycle.phase is Phase.DRAINING
            assert server.heard == [signal.SIGTERM]

    asyncio.run(scenario())


def test_who_presses_ctrl_c_does_not_wait_for_the_delay() -> None:
    async def scenario() -> None:
        server, lifecycle, before = Server(), Lifecycle(), signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, server)
        try:
            with lifecycle.serving(3600):
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.wait_for(server.event.wait(), SECONDS)
                assert lifecycle.phase is Phase.DRAINING  # so videos end with a last line
            assert server.heard == [signal.SIGINT]
            assert signal.getsignal(signal.SIGINT) is server
        finally:
            signal.signal(signal.SIGINT, before)

    asyncio.run(scenario())


def test_with_a_delay_readiness_falls_first_and_the_server_hears_later() -> None:
    async def scenario() -> None:
        server, lifecycle, loop = install(), Lifecycle(), asyncio.get_running_loop()
        with lifecycle.serving(0.2):
            told = loop.time()
            end()
            await asyncio.sleep(0.002)
            assert lifecycle.phase is Phase.DRAINING
            assert server.heard == []
            await asyncio.wait_for(server.event.wait(), SECONDS)
            assert loop.time() - told >= 0.15
            assert server.heard == [signal.SIGTERM]

    asyncio.run(scenario())


def test_a_second_signal_ends_the_delay() -> None:
    async def scenario() -> None:
        server, lifecycle = install(), Lifecycle()
        with lifecycle.serving(3600):
            end()
            await asyncio.sleep(0.002)
            assert server.heard == []
            end()
            await asyncio.wait_for(server.event.wait(), SECONDS)
            assert server.heard == [signal.SIGTERM]

    asyncio.run(scenario())


def test_the_servers_handler_is_back_afterwards_even_after_a_failure() -> None:
    async def failing(lifecycle: Lifecycle, server: Server) -> None:
        with lifecycle.serving(0):
            assert signal.getsignal(signal.SIGTERM) is not server
            raise ArithmeticError

    async def scenario() -> None:
        server, lifecycle = install(), Lifecycle()
        with pytest.raises(ArithmeticError):
            await failing(lifecycle, server)
        assert lifecycle.phase is Phase.DRAINING
        assert signal.getsignal(signal.SIGTERM) is server

    asyncio.run(scenario())


def test_a_server_that_ignores_the_signal_is_no_error() -> None:
    async def scenario() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        lifecycle = Lifecycle()
        with lifecycle.serving(0):
            end()
            await asyncio.sleep(0.002)
            assert lifecycle.phase is Phase.DRAINING

    asyncio.run(scenario())


def test_outside_the_main_thread_no_signal_is_taken() -> None:
    lifecycle, phases = Lifecycle(), []
    before = signal.getsignal(signal.SIGTERM)

    async def scenario() -> None:
        with lifecycle.serving(0):
            phases.append(lifecycle.phase)
            assert signal.getsignal(signal.SIGTERM) == before

    thread = threading.Thread(target=lambda: asyncio.run(scenario()))
    thread.start()
    thread.join(SECONDS)
    assert [*phases, lifecycle.phase] == [Phase.READY, Phase.DRAINING]
