import asyncio
import time

from fer_service.http.connections.turns import Turn, Turns


class Flood:
    """A connection that always has more to do."""

    def __init__(self, turns: Turns, name: str, done: list[str], most: int) -> None:
        self.turn = Turn(self.work)
        self._turns, self._name, self._done, self._left = turns, name, done, most

    def work(self) -> None:
        time.sleep(0.004)
        self._done.append(self._name)
        self._left -= 1
        if self._left:
            self._turns.wait(asyncio.get_running_loop(), self.turn)


def test_all_get_turns_and_an_iteration_ends_soon() -> None:
    done: list[str] = []

    async def run() -> int:
        turns = Turns()
        names = [str(number) for number in range(20)]
        for name in names:
            turns.wait(asyncio.get_running_loop(), Flood(turns, name, done, 3).turn)
        assert not done
        most = 0
        while len(done) < 60:
            before = len(done)
            await asyncio.sleep(0)
            most = max(most, len(done) - before)
        assert done[:20] == names
        return most

    assert asyncio.run(run()) <= 3
    assert all(done.count(name) == 3 for name in done)


def test_who_comes_anew_is_next() -> None:
    done: list[str] = []

    async def run() -> None:
        loop, turns = asyncio.get_running_loop(), Turns()
        for _ in range(20):
            turns.wait(loop, Flood(turns, "flood", done, 100).turn)
        while len(done) < 50:
            await asyncio.sleep(0)
        before = len(done)
        turns.wait(loop, Turn(lambda: done.append("ordinary")))
        while "ordinary" not in done:
            await asyncio.sleep(0)
        assert done.index("ordinary") - before <= 10

    asyncio.run(run())


def test_work_that_fails_does_not_end_the_turns_of_others() -> None:
    done: list[str] = []

    async def run() -> None:
        loop, turns = asyncio.get_running_loop(), Turns()
        loop.set_exception_handler(lambda *_: done.append("reported"))
        turns.wait(loop, Turn(lambda: done.append(str(1 // 0))))
        turns.wait(loop, Turn(lambda: done.append("next")))
        while "next" not in done:
            await asyncio.sleep(0)

    asyncio.run(run())
    assert done == ["reported", "next"]
