import random
from collections import Counter
from contextlib import ExitStack

import pytest
from fer_service.contract.errors import Overloaded, Preempted
from fer_service.http.ledger import STALL_BYTES, STALL_SECONDS, Hold, Ledger

BUDGET = 80_000


class Books:
    """A ledger with a clock of its own that tells what it reports."""

    def __init__(self) -> None:
        self.now = 0.0
        self.held = 0
        self.rejected: Counter[str] = Counter()
        self.given_up: list[Hold] = []
        self.stack = ExitStack()
        self.ledger = Ledger(BUDGET, changed=self._change, rejected=self._reject, clock=lambda: self.now)

    def _change(self, held: int) -> None:
        self.held = held

    def _reject(self, reason: str) -> None:
        self.rejected[reason] += 1

    def hold(self, client: str, size: int = 0, *, answer: bool = False, pinned: bool = False) -> Hold:
        hold = self.stack.enter_context(self.ledger.hold(client, answer=answer))
        if not pinned:
            hold.give_up = lambda: self.given_up.append(hold)
        if size:
            self.ledger.grow(hold, size)
        return hold


@pytest.fixture
def books() -> Books:
    return Books()


def test_bytes_are_booked_as_they_come_and_released_at_the_end(books: Books) -> None:
    with books.ledger.hold("a") as hold:
        for _ in range(3):
            books.ledger.grow(hold, 1000)
        assert (hold.size, books.held) == (3000, 3000)
        books.ledger.shrink(hold, 500)
        assert (hold.size, books.held) == (2500, 2500)
    assert books.held == 0


def test_a_check_books_nothing(books: Books) -> None:
    books.hold("a", BUDGET - 10)
    hold = books.hold("a")
    books.ledger.check(hold, 10)
    with pytest.raises(Overloaded, match="retry after a moment"):
        books.ledger.check(hold, 11)
    assert (books.held, books.rejected) == (BUDGET - 10, {"bytes": 1})


def test_a_transfer_larger_than_the_budget_is_admitted_alone(books: Books) -> None:
    with books.ledger.hold("a") as large:
        books.ledger.grow(large, 2 * BUDGET)
        with pytest.raises(Overloaded):
            books.hold("a", 1)
    assert books.held == 0
    books.hold("a", 1)
    with pytest.raises(Overloaded):
        books.hold("a", BUDGET)


def test_the_only_answer_is_admitted_beside_uploads(books: Books) -> None:
    books.hold("a", BUDGET, pinned=True)
    books.hold("b", BUDGET, answer=True)
    with pytest.raises(Overloaded):
        books.hold("b", 1, answer=True)
    assert books.held == 2 * BUDGET


def test_who_stands_still_yields_first_the_longest_first(books: Books) -> None:
    oldest = books.hold("a", BUDGET // 2)
    books.now += 1
    second = books.hold("a", BUDGET // 4)
    books.now += 1
    moving = books.hold("a", BUDGET // 4)
    books.now += 1.5
    books.ledger.grow(moving, 0)
    books.ledger.move(moving, STALL_BYTES)
    same_client = books.hold("a", BUDGET // 2)
    assert books.given_up == [oldest]
    assert (oldest.preempted, oldest.size) == ("stalled", 0)
    with pytest.raises(Preempted, match="stood still"):
        books.ledger.grow(oldest, 1)
    books.ledger.grow(same_client, BUDGET // 4)
    assert books.given_up == [oldest, second]
    assert books.rejected == {"stalled": 2}
    with pytest.raises(Overloaded):
        books.ledger.grow(same_client, 1)


def test_a_dribble_is_no_movement(books: Books) -> None:
    dribbling = books.hold("a", BUDGET - 100)
    for _ in range(5):
        books.now += STALL_SECONDS / 4
        books.ledger.grow(dribbling, 10)
    books.hold("b", 100)
    assert dribbling.preempted == "stalled"


def test_the_newest_transfer_of_the_largest_client_yields_to_a_smaller_one(books: Books) -> None:
    first, second, third = (books.hold("large", BUDGET // 4) for _ in range(3))
    small = books.hold("small", BUDGET // 4)
    books.hold("new", 100)
    assert books.given_up == [third]
    assert (first.preempted, second.preempted, small.preempted) == ("", "", "")
    with pytest.raises(Preempted, match="clients that hold less"):
        third.check()


def test_the_largest_client_itself_is_refused_and_nobody_else_loses(books: Books) -> None:
    books.hold("large", BUDGET // 2)
    newest = books.hold("large")
    books.hold("small", BUDGET // 2)
    with pytest.raises(Overloaded):
        books.ledger.grow(newest, 1)
    assert (books.given_up, books.rejected) == ([], {"bytes": 1})


def test_the_older_of_two_transfers_of_a_client_goes_on(books: Books) -> None:
    older, newer = books.hold("a", BUDGET // 2), books.hold("a", BUDGET // 2)
    books.ledger.grow(older, 1)
    assert books.given_up == [newer]


@pytest.mark.parametrize("size", [BUDGET // 10, BUDGET // 5, BUDGET // 2])
def test_uploads_of_many_clients_end_although_they_do_not_fit_together(books: Books, size: int) -> None:
    chunk, ended = BUDGET // 100, 0
    uploads = [books.hold(str(number)) for number in range(40)]
    for step in range(20_000):
        at = step % len(uploads)
        books.now += 0.001
        try:
            books.ledger.grow(uploads[at], chunk)
        except (Overloaded, Preempted):
            books.ledger.close(uploads[at])
            uploads[at] = books.hold(str(at))
        if uploads[at].size >= size:
            books.ledger.close(uploads[at])
            uploads[at] = books.hold(str(at))
            ended += 1
    assert ended >= 5


def test_small_transfers_go_on_beside_large_ones_of_the_same_client(books: Books) -> None:
    oldest, other, newest = (books.hold("a", BUDGET // 4) for _ in range(3))
    small = books.hold("a", BUDGET // 4)
    books.ledger.shrink(small, BUDGET // 4 - 100)
    books.ledger.grow(newest, BUDGET // 4 - 100)
    books.ledger.grow(small, 100)
    assert books.given_up == [newest]
    late = books.hold("a", BUDGET // 2 - 200)
    books.ledger.grow(oldest, 100)
    assert books.given_up == [newest, late]
    assert (oldest.preempted, other.preempted, small.preempted) == ("", "", "")


def test_nothing_is_given_up_for_a_transfer_that_is_refused_anyway(books: Books) -> None:
    books.hold("a", BUDGET // 2, pinned=True)
    books.hold("b", BUDGET // 4)
    with pytest.raises(Overloaded):
        books.hold("c", BUDGET)
    assert books.given_up == []


def test_work_that_has_begun_is_not_given_up(books: Books) -> None:
    hold = books.hold("a", BUDGET - 100)
    books.ledger.pin(hold)
    books.now += 2 * STALL_SECONDS
    with pytest.raises(Overloaded):
        books.hold("b", 101)
    assert (hold.preempted, books.given_up) == ("", [])


def test_one_client_cannot_fill_the_budget_with_its_work(books: Books) -> None:
    for _ in range(7):
        books.ledger.pin(books.hold("a", BUDGET // 8))
    last = books.hold("a", BUDGET // 8)
    with pytest.raises(Overloaded):
        books.ledger.pin(last)
    with pytest.raises(Overloaded):
        books.hold("a", 1, pinned=True)
    books.ledger.pin(books.hold("b", BUDGET // 8))
    assert books.given_up == [last]


def test_bytes_that_were_given_up_cannot_be_worked_on(books: Books) -> None:
    hold = books.hold("a", BUDGET)
    books.hold("b", 1)
    with pytest.raises(Preempted):
        books.ledger.pin(hold)
    books.ledger.shrink(hold, 10)
    assert books.held == 1


@pytest.mark.parametrize("seed", range(20))
def test_in_any_order_of_events_the_books_are_right(books: Books, seed: int) -> None:
    chance = random.Random(seed)
    open_holds: dict[Hold, ExitStack] = {}
    for _ in range(400):
        books.now += chance.random()
        action = chance.choice(["open", "grow", "grow", "grow", "pin", "close"])
        if action == "open" or not open_holds:
            stack = ExitStack()
            answer = chance.random() < 0.2
            hold = stack.enter_context(books.ledger.hold(chance.choice("abc"), lambda: None, answer=answer))
            open_holds[hold] = stack
            continue
        hold = chance.choice(list(open_holds))
        before = {each: each.size for each in open_holds}
        pinned = [each for each in open_holds if each.give_up is None]
        try:
            if action == "grow":
                books.ledger.grow(hold, chance.choice([1, 5000, 20_000]))
            elif action == "pin" and hold.give_up:
                books.ledger.pin(hold)
        except (Overloaded, Preempted):
            assert {each: each.size for each in open_holds} == before, "a refusal changes nothing"
        if action == "close":
            open_holds.pop(hold).close()
        assert books.held == sum(each.size for each in open_holds)
        assert not any(each.preempted for each in pinned)
        uploads = sum(each.size for each in open_holds if not each.answer)
        largest = max((each.size for each in open_holds if each.answer), default=0)
        assert books.held <= BUDGET + largest or len([each for each in open_holds if each.size]) == 1
        assert uploads <= BUDGET or uploads == max(each.size for each in open_holds)
    for stack in open_holds.values():
        stack.close()
    assert books.held == 0
    assert not books.ledger._holds
