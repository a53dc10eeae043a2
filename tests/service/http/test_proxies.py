import asyncio

import pytest
from fer_service.http.middleware.proxies import TrustedProxiesMiddleware
from starlette.types import Receive, Scope, Send


def seen(proxies: tuple[str, ...], client: str, **headers: str) -> Scope:
    """The scope that an app behind these proxies gets."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)

    async def unused() -> None:
        raise AssertionError

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {"type": "http", "client": (client, 1), "scheme": "http", "headers": raw}
    asyncio.run(TrustedProxiesMiddleware(app, proxies)(scope, unused, unused))  # type: ignore[arg-type]
    return scopes[0]


FORWARDED = {"x_forwarded_for": "198.51.100.7, 203.0.113.5", "x_forwarded_proto": "https", "host": "fer:8000"}


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "10.0.0.1"])
def test_nobody_is_trusted_by_default(client: str) -> None:
    scope = seen((), client, **FORWARDED)
    assert (scope["client"], scope["scheme"]) == ((client, 1), "http")


@pytest.mark.parametrize("client", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_the_client_of_a_trusted_proxy_is_the_last_that_is_no_proxy(client: str) -> None:
    scope = seen(("10.0.0.0/8",), client, **FORWARDED)
    assert (scope["client"][0], scope["scheme"]) == ("203.0.113.5", "https")
    assert seen(("10.0.0.0/8", "203.0.113.5"), client, **FORWARDED)["client"][0] == "198.51.100.7"


def test_another_network_is_not_trusted() -> None:
    assert seen(("10.0.0.0/8",), "11.0.0.1", **FORWARDED)["client"] == ("11.0.0.1", 1)


def test_an_ipv4_client_of_an_ipv6_socket_has_its_ipv4_address() -> None:
    assert seen((), "::ffff:192.0.2.1")["client"] == ("192.0.2.1", 1)


@pytest.mark.parametrize(
    ("hosts", "addresses", "host"),
    [
        ("evil.example, fer.example, inner:8080", "203.0.113.5, 10.0.0.2", b"fer.example"),
        ("evil.example, fer.example", "10.0.0.9, 203.0.113.5", b"fer.example"),
        ("fer.example, inner:8080", "203.0.113.5, 10.0.0.3, 10.0.0.2", b"fer.example"),
        ("fer.example,", "203.0.113.5, 10.0.0.2", b"fer.example"),
        ("fer.example, inner", "203.0.113.5:51000, 10.0.0.2:4444", b"fer.example"),
        ("fer.example, inner", "203.0.113.5, ::ffff:10.0.0.2", b"fer.example"),
    ],
)
def test_of_several_hosts_the_one_counts_that_the_outermost_trusted_proxy_saw(
    hosts: str, addresses: str, host: bytes
) -> None:
    forwarded = {"host": "fer:8000", "x_forwarded_host": hosts, "x_forwarded_for": addresses}
    headers = seen(("10.0.0.0/8",), "10.0.0.1", **forwarded)["headers"]
    assert [value for name, value in headers if name == b"host"] == [host]


@pytest.mark.parametrize(
    ("schemes", "addresses", "scheme"),
    [
        ("https, http", "203.0.113.5, 10.0.0.2", "https"),
        ("https, http", "10.0.0.9, 203.0.113.5", "http"),
        ("HTTPS", "203.0.113.5", "https"),
        ("ftp", "203.0.113.5", "http"),
        (",", "203.0.113.5", "http"),
    ],
)
def test_of_several_schemes_the_one_counts_that_the_outermost_trusted_proxy_saw(
    schemes: str, addresses: str, scheme: str
) -> None:
    forwarded = {"x_forwarded_proto": schemes, "x_forwarded_for": addresses}
    assert seen(("10.0.0.0/8",), "10.0.0.1", **forwarded)["scheme"] == scheme


def test_nobody_else_forwards_what_counts_for_pages() -> None:
    forwarded = {"host": "fer:8000", "x_forwarded_port": "8443", "x_forwarded_proto": "https"}
    assert seen(("10.0.0.1",), "10.0.0.2", **forwarded)["headers"] == [(b"host", b"fer:8000")]
    assert len(seen(("10.0.0.1",), "10.0.0.1", **forwarded)["headers"]) == 3


def test_the_host_of_a_trusted_proxy_replaces_its_own() -> None:
    forwarded = {"host": "fer:8000", "x_forwarded_host": "evil.example, fer.example"}
    hosts = [value for name, value in seen(("10.0.0.1",), "10.0.0.1", **forwarded)["headers"] if name == b"host"]
    assert hosts == [b"fer.example"]
    assert seen(("10.0.0.1",), "10.0.0.2", **forwarded)["headers"] == [(b"host", b"fer:8000")]
    assert len(seen((), "10.0.0.2", **forwarded)["headers"]) == 2
