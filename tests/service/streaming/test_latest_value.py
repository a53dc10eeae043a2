import asyncio

from fer_service.streaming.latest_value import LatestValue


def test_the_newest_wins_and_the_dropped_are_told() -> None:
    async def scenario() -> None:
        slot: LatestValue[int] = LatestValue()
        assert [slot.put(number) for number in (1, 2, 3)] == [None, 1, 2]
        assert await slot.take() == 3
        assert slot.put(4) is None
        assert await slot.take() == 4

    asyncio.run(scenario())


def test_one_who_waits_is_woken_by_the_next_item() -> None:
    async def scenario() -> None:
        slot: LatestValue[str] = LatestValue()
        waiting = asyncio.create_task(slot.take())
        await asyncio.sleep(0)
        assert not waiting.done()
        slot.put("frame")
        assert await waiting == "frame"

    asyncio.run(scenario())


def test_an_item_that_is_removed_at_once_is_not_taken() -> None:
    async def scenario() -> None:
        slot: LatestValue[int] = LatestValue()
        waiting = asyncio.create_task(slot.take())
        await asyncio.sleep(0)
        slot.put(1)
        assert slot.remove() == 1
        await asyncio.sleep(0)
        slot.put(2)
        assert await waiting == 2

    asyncio.run(scenario())


def test_one_who_gave_up_waiting_takes_nothing_away() -> None:
    async def scenario() -> None:
        slot: LatestValue[str] = LatestValue()
        waiting = asyncio.create_task(slot.take())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        slot.put("frame")
        assert await slot.take() == "frame"

    asyncio.run(scenario())
