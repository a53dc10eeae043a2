from contextlib import ExitStack

import pytest
from fer_service.contract.errors import Overloaded
from fer_service.http.seats import Seats, one_clients


class Counted:
    """Seats, and what they report."""

    def __init__(self, maximum: int) -> None:
        self.taken: list[int] = []
        self.reasons: list[str] = []
        self.seats = Seats("videos", maximum, "FER_MAX_VIDEOS", changed=self.taken.append, refused=self._refused)

    def _refused(self, reason: str, text: str) -> Overloaded:
        self.reasons.append(reason)
        return Overloaded(text)


def test_the_last_seat_is_not_for_the_client_that_has_the_others() -> None:
    counted = Counted(4)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(counted.seats.taken("a"))
        with pytest.raises(Overloaded, match="this client has 3 videos open"):
            counted.seats.check("a")
        stack.enter_context(counted.seats.taken("b"))
        with pytest.raises(Overloaded, match=r"4 videos are open, the maximum \(FER_MAX_VIDEOS\)"):
            stack.enter_context(counted.seats.taken("c"))
    assert counted.taken == [1, 2, 3, 4, 3, 2, 1, 0]
    assert counted.reasons == ["client", "videos"]


def test_no_seats_are_always_taken() -> None:
    with pytest.raises(Overloaded, match="0 videos"):
        Counted(0).seats.check("a")


def test_a_seat_is_free_again_after_an_error() -> None:
    counted = Counted(1)
    with pytest.raises(ValueError, match="broken"), counted.seats.taken("a"):
        raise ValueError("broken")
    counted.seats.check("a")


@pytest.mark.parametrize(("places", "most"), [(1, 1), (2, 2), (4, 3), (16, 14), (64, 56)])
def test_one_client_has_most_of_the_places(places: int, most: int) -> None:
    assert one_clients(places) == most
