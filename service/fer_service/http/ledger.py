"""The bytes that uploads, frames and answers hold in memory, and who yields when they are too many."""

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from fer_service.contract.errors import Overloaded, Preempted

STALL_SECONDS: Final = 2.0
STALL_BYTES: Final = 4096  # a transfer that moves fewer bytes in STALL_SECONDS stands still
_RESERVE: Final = 8  # an eighth of the budget is not for work of one client alone
_SMALL: Final = 8  # a transfer below an eighth of the mean is small

GiveUp = Callable[[], None]
Reason = Literal["", "stalled", "share"]
_PREEMPTED: Final[dict[Reason, str]] = {
    "stalled": "the upload stood still while others needed the memory; retry after a moment",
    "share": "clients that hold less needed the memory of this upload; retry after a moment",
}


@dataclass(eq=False)
class Hold:
    """The bytes that one transfer holds; a `Ledger` makes and changes it.

    Attributes:
        client: The client that holds them.
        answer: True for an answer on its way to the client.
        moved: `clock()` when the transfer last moved on.
        size: Bytes held.
        recent: Bytes moved since then.
        give_up: Ends the transfer when others need its bytes; None if it must not be ended.
        preempted: Why it was ended; empty if it was not.
    """

    client: str
    answer: bool
    moved: float
    size: int = 0
    recent: int = 0
    give_up: GiveUp | None = None
    preempted: Reason = ""

    def check(self) -> None:
        """Refuse to go on after the transfer was cancelled.

        Raises:
            Preempted: they were.
        """
        if self.preempted:
            raise Preempted(_PREEMPTED[self.preempted])


class Ledger:
    """Books bytes as they arrive, within a budget.

    While the bytes fit, everybody may hold as many as they like. When they do not, transfers are cancelled until
    they do:

    1. Stalled transfers, the longest stalled first.
    2. Then one transfer at a time, of the client that holds most: of all but its oldest one, the newest that holds
       at least an eighth of their mean. If this is the one that asks for more, it is refused instead, and nothing
       is cancelled.

    The oldest upload of all does not yield by the second rule while its client holds at most half of the budget.
    So uploads end, however many clients there are. Small transfers go on next to large ones, also if all come from
    one address. Transfers on which work has begun are not cancelled. One client may fill seven eighths of the
    budget with them, so that others find room. A hold larger than the budget is admitted if it is the only one, or
    the only answer.

    For one thread.
    """

    def __init__(
        self,
        budget: int,
        *,
        changed: Callable[[int], object] = lambda held: None,
        rejected: Callable[[str], object] = lambda reason: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            budget: Maximum bytes of all holds.
            changed: Called with the sum of all holds after each change.
            rejected: Called with the reason of each refusal: bytes, stalled or share.
            clock: Seconds.
        """
        self._budget = budget
        self._changed = changed
        self._rejected = rejected
        self._clock = clock
        self._holds: dict[Hold, None] = {}  # the oldest first
        self._held = 0

    @property
    def held(self) -> int:
        """Sum of all holds in bytes."""
        return self._held

    @contextmanager
    def hold(self, client: str, give_up: GiveUp | None = None, *, answer: bool = False) -> Iterator[Hold]:
        """Open a hold (see `open`) while the block runs."""
        hold = self.open(client, give_up, answer=answer)
        try:
            yield hold
        finally:
            self.close(hold)

    def open(self, client: str, give_up: GiveUp | None = None, *, answer: bool = False) -> Hold:
        """Open an empty hold; `close` must follow.

        Args:
            client: The holder of an API key, or an address.
            give_up: Called when others need the bytes: it ends the transfer soon, without using the ledger. None
                if the transfer must not be cancelled.
            answer: True for an answer on its way to the client.
        """
        hold = Hold(client, answer, self._clock(), give_up=give_up)
        self._holds[hold] = None
        return hold

    def close(self, hold: Hold) -> None:
        """Release all bytes of a hold; closing it twice does nothing."""
        if hold in self._holds:
            self._add(hold, -hold.size)
            del self._holds[hold]

    def grow(self, hold: Hold, size: int) -> None:
        """Book more bytes; this moves the transfer on.

        Raises:
            Overloaded: they do not fit.
            Preempted: the hold was cancelled.
        """
        for reason, other in self._make_room(hold, size):
            self.close(other)
            other.preempted = reason
            self._rejected(reason)
            if other.give_up:
                other.give_up()
        self.move(hold, size)
        self._add(hold, size)

    def check(self, hold: Hold, size: int) -> None:
        """Raise what `grow` would raise; book nothing."""
        self._make_room(hold, size)

    def move(self, hold: Hold, size: int) -> None:
        """Note that a transfer has moved on by this many bytes."""
        hold.recent += size
        if hold.recent >= STALL_BYTES:
            hold.recent, hold.moved = 0, self._clock()

    def shrink(self, hold: Hold, size: int) -> None:
        """Release some bytes of a hold."""
        if hold in self._holds:
            self._add(hold, -size)

    def pin(self, hold: Hold) -> None:
        """Keep the bytes of a hold from now on: work on them begins.

        Raises:
            Overloaded: the client's bytes in work are as many as one client may have.
            Preempted: the hold was cancelled.
        """
        hold.check()
        self._check_reserve(hold, hold.size)
        hold.give_up = None

    def _add(self, hold: Hold, size: int) -> None:
        hold.size += size
        self._held += size
        self._changed(self._held)

    def _refuse(self) -> None:
        self._rejected("bytes")
        raise Overloaded("too many bytes in flight; retry after a moment")

    def _check_reserve(self, hold: Hold, size: int) -> None:
        pinned = sum(each.size for each in self._holds if each.client == hold.client and each.give_up is None)
        if pinned and pinned + size > self._budget - self._budget // _RESERVE:
            self._refuse()

    def _make_room(self, hold: Hold, size: int) -> list[tuple[Reason, Hold]]:
        """Return the holds that must be cancelled so that one can grow, or raise what `grow` raises."""
        hold.check()
        if hold.give_up is None:
            self._check_reserve(hold, size)
        missing = self._held + size - self._budget
        if missing <= 0 or self._is_alone(hold):
            return []
        given_up: dict[Hold, Reason] = {}
        for each in self._standing(hold):
            if missing > 0:
                given_up[each] = "stalled"
                missing -= each.size
        left = [each for each in self._holds if each not in given_up]
        spared = self._first(left)
        for each in _largest_first(left, hold, size):
            if missing <= 0:
                break
            if each is spared:
                continue
            if each is hold:
                self._refuse()
            given_up[each] = "share"
            missing -= each.size
        if missing > 0:
            self._refuse()
        return [(reason, each) for each, reason in given_up.items()]

    def _first(self, holds: list[Hold]) -> Hold | None:
        """Return the oldest upload, unless its client holds much. If the largest yielded, none might end."""
        first = next((each for each in holds if each.give_up and each.size and not each.answer), None)
        if first is None:
            return None
        total = sum(each.size for each in holds if each.client == first.client)
        return first if total <= self._budget // 2 else None

    def _is_alone(self, hold: Hold) -> bool:
        """Return True if no other hold has bytes; answers compare with answers only."""
        return not any(each.size for each in self._holds if each is not hold and each.answer >= hold.answer)

    def _standing(self, hold: Hold) -> list[Hold]:
        """Return the other transfers that stand still, the longest first."""
        since = self._clock() - STALL_SECONDS
        still = (each for each in self._holds if each.give_up and each.size and each.moved < since)
        return sorted((each for each in still if each is not hold), key=lambda each: each.moved)


def _largest_first(holds: Iterable[Hold], asking: Hold, size: int) -> Iterator[Hold]:
    """Yield, again and again, a transfer of the client that holds most of what is left.

    Args:
        holds: The oldest first.
        asking: The hold that asks for more; it counts as a transfer of its client.
        size: Bytes for which it asks.
    """
    shares = Counter({asking.client: size})
    transfers: defaultdict[str, list[_Transfer]] = defaultdict(list)
    for age, hold in enumerate(holds):
        shares[hold.client] += hold.size
        if hold is asking or (hold.give_up and hold.size):
            transfers[hold.client].append(_Transfer(hold, -age, hold.size + size * (hold is asking)))
    ordered = {client: _last_goes_first(own) for client, own in transfers.items()}
    # Of equal clients the one with the newer transfer comes first.
    clients = [(-shares[client], own[-1].order, client) for client, own in ordered.items()]
    heapq.heapify(clients)
    while clients:
        share, _, client = heapq.heappop(clients)
        yielded = ordered[client].pop()
        yield yielded.hold
        if ordered[client]:
            heapq.heappush(clients, (share + yielded.hold.size, ordered[client][-1].order, client))


class _Transfer(NamedTuple):
    """A hold, its place from the newest on, and its bytes with those that it asks for."""

    hold: Hold
    order: int
    size: int


def _last_goes_first(own: list[_Transfer]) -> list[_Transfer]:
    """Return the transfers of a client, the oldest first, so that the last one is cancelled first."""
    oldest, others = own[:1], own[1:]
    least = sum(each.size for each in others) / max(len(others), 1) / _SMALL
    small = [each for each in others if each.size < least]
    return oldest + small + [each for each in others if each.size >= least]
