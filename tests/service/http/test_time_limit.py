import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fer_service.http.time_limit import cancel_on_disconnect
from starlette.requests import ClientDisconnect, Request

Work = Callable[[], Awaitable[Any]]


def request(receive: Work) -> Request:
    return Request({"type": "http"}, receive)


def test_work_ends_when_the_client_disconnects() -> None:
    async def disconnect() -> dict[str, str]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnect):
        asyncio.run(cancel_on_disconnect(request(disconnect), asyncio.Event().wait()))


def test_a_client_that_disconnects_as_the_work_ends_cancels_nothing_later() -> None:
    async def route() -> str:
        loop = asyncio.get_running_loop()
        gone, done = loop.create_future(), loop.create_future()

        async def receive() -> Any:
            return await gone

        async def work() -> str:
            return str(await done)

        loop.call_later(0.01, gone.set_result, {"type": "http.disconnect"})
        loop.call_later(0.01, done.set_result, "answer")
        answer = await cancel_on_disconnect(request(receive), work())
        for _ in range(5):  # later steps of the route
            await asyncio.sleep(0)
        return answer

    assert asyncio.run(route()) == "answer"
