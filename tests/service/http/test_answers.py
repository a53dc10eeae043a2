import asyncio

import pytest
from fer_service.contract.errors import Overloaded
from fer_service.http.answers import Answer
from fer_service.http.ledger import Ledger
from starlette.types import Receive, Scope, Send

from tests.service.http.conftest import Exchange

MIB = 2**20


class Sender:
    """An app whose answer is always the same."""

    def __init__(self, size: int, budget: int = 4 * MIB) -> None:
        self.held = 0
        self.ledger = Ledger(budget, changed=self._change)
        self.body = bytes(range(256)) * (size // 256)

    def _change(self, held: int) -> None:
        self.held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answer(self.body, "image/png", {"Vary": "Accept"}, self.ledger, "a")
        await answer(scope, receive, send)


@pytest.mark.parametrize("size", [0, 256, 64 * 1024, 3 * MIB + 256])
def test_an_answer_comes_whole_with_its_length(size: int) -> None:
    async def scenario() -> None:
        app = Sender(size)
        answer = await Exchange(app, "/").answer()
        assert answer.body == app.body
        assert answer.headers["content-length"] == str(size)
        assert (answer.headers["content-type"], answer.headers["vary"]) == ("image/png", "Accept")
        assert app.held == 0

    asyncio.run(scenario())


def test_an_answer_that_nobody_reads_stays_booked_and_waits() -> None:
    async def scenario() -> None:
        app = Sender(MIB)
        exchange = Exchange(app, "/")
        exchange.reading.clear()
        for _ in range(100):
            await asyncio.sleep(0)
        assert (exchange.sent, app.held) == (0, MIB)
        exchange.reading.set()
        assert (await exchange.answer()).body == app.body
        assert app.held == 0

    asyncio.run(scenario())


def test_an_answer_in_the_way_of_others_is_dropped() -> None:
    async def scenario() -> None:
        app = Sender(MIB, budget=MIB)
        exchange = Exchange(app, "/")
        exchange.reading.clear()
        await asyncio.sleep(0)
        assert app.held == MIB
        with app.ledger.hold("b") as hold:
            app.ledger.grow(hold, MIB // 2)
            assert app.held == MIB // 2
            exchange.reading.set()
            assert len((await exchange.answer()).body) < MIB
        assert app.held == 0

    asyncio.run(scenario())


def test_an_answer_without_room_is_refused_before_it_begins() -> None:
    async def scenario() -> None:
        app = Sender(3 * MIB)
        first = Exchange(app, "/")
        first.reading.clear()
        await asyncio.sleep(0)
        second = Exchange(app, "/")
        with pytest.raises(Overloaded):
            await second.answer()
        first.reading.set()
        assert (await first.answer()).body == app.body

    asyncio.run(scenario())


def test_an_answer_that_is_given_up_releases_its_bytes() -> None:
    async def scenario() -> None:
        app = Sender(MIB)
        exchange = Exchange(app, "/")
        exchange.reading.clear()
        await asyncio.sleep(0)
        assert app.held == MIB
        exchange.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange.answer()
        assert app.held == 0

    asyncio.run(scenario())
