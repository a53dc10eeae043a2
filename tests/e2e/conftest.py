from collections.abc import Iterator

import pytest

from tests.e2e.server import Server, StartServer


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start a server with these FER_ variables; it ends with the test."""
    started: list[Server] = []

    def start(**settings: str) -> Server:
        started.append(Server(settings))
        return started[-1]

    yield start
    for server in started:
        server.close()
