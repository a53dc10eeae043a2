import asyncio
import time

from fer_service.http.connections.turns import Turns


def test_all_get_turns_and_an_iteration_ends_soon() -> None:
    done: list[int] = []
    iterations: list[float] = []

    async def run() -> None:
        loop, turns = asyncio.get_running_loop(), Turns()

        def work(number: int) -> None:
            time.sleep(0.004)
            done.append(number)
            if done.count(number) < 3:
                turns.wait(loop, lambda: work(number))

        for number in range(20):
            turns.wait(loop, lambda number=number: work(number))  # type: ignore[misc]
        assert not done
        while len(done) < 60:
            began = len(done)
            await asyncio.sleep(0)
            iterations.append(len(done) - began)

    asyncio.run(run())
    assert done == [*range(20)] * 3
    assert max(iterations) <= 3


def test_work_that_fails_does_not_end_the_turns_of_others() -> None:
    done: list[str] = []

    async def run() -> None:
        loop, turns = asyncio.get_running_loop(), Turns()
        loop.set_exception_handler(lambda *_: done.append("reported"))
        turns.wait(loop, lambda: done.append(str(1 // 0)))
        turns.wait(loop, lambda: done.append("next"))
        while "next" not in done:
            await asyncio.sleep(0)

    asyncio.run(run())
    assert done == ["reported", "next"]
