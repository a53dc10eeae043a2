import asyncio

from fer_service.http.connections.limits import ConnectionLimits
from fer_service.http.connections.sending import Sending, shed


class FullTransport(asyncio.Transport):
    """A transport whose client has so many bytes left to read."""

    def __init__(self, unsent: int) -> None:
        super().__init__()
        self.unsent = unsent
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.aborted = True


def test_the_most_silent_clients_are_given_up_until_the_others_fit() -> None:
    transports = [FullTransport(100) for _ in range(4)]
    sendings = [Sending(transport, ConnectionLimits()) for transport in transports]
    for second, sending in enumerate(sendings):
        for _ in range(second + 1):
            assert sending.waits(1)
    shed(sendings, 250)
    assert [transport.aborted for transport in transports] == [False, False, True, True]


def test_a_client_that_reads_is_not_given_up() -> None:
    transport = FullTransport(100)
    sending = Sending(transport, ConnectionLimits())
    assert sending.waits(1)
    transport.unsent = 90
    assert sending.waits(1)
    shed([sending], 50)
    assert not transport.aborted


def test_what_fits_is_kept() -> None:
    transport = FullTransport(100)
    sending = Sending(transport, ConnectionLimits())
    assert sending.waits(1)
    shed([sending], 100)
    assert not transport.aborted
