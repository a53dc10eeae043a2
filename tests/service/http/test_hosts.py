from pathlib import Path

import pytest
from fer_service.contract.errors import SettingsError
from fer_service.contract.settings import load_settings
from fer_service.http.hosts import (
    FORWARDED_FOR,
    Authority,
    TrustedProxies,
    client_of,
    entries_of,
    is_address,
    is_allowed,
    is_same_origin,
    parse_authority,
)
from starlette.testclient import WebSocketDenialResponse

from tests.service.conftest import plain
from tests.service.http.conftest import FACE, FIRST, Serve

PROBED = (
    "/livez",
    "/readyz",
    "/metrics",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/emotion/ready",
    "/v2/models/emotion/versions/1.2.3/ready",
)
LISTED = "fer.example,*.Good.org,[::1]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fer.Example", Authority("fer.example", None)),
        ("fer.example.:8000", Authority("fer.example.", 8000)),
        ("fer.example:", Authority("fer.example", None)),
        ("[::1]:65535", Authority("[::1]", 65535)),
        *((text, None) for text in ("", ":80", "[", "[::1", "::1", "a b", "a@b", "a/b", "a,b", "a:b", "a:٣")),
        *((text, None) for text in ("a:65536", "a:-1", "a:123456", "a:1:2", "a?b", "a#b", "a\\b", "a\n", "[x]")),
    ],
)
def test_a_host_is_a_name_or_an_address_and_perhaps_a_port(text: str, expected: Authority | None) -> None:
    assert parse_authority(text) == expected


@pytest.mark.parametrize(
    ("address", "forwarded", "expected"),
    [
        ("203.0.113.9", ["198.51.100.7"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.7, 203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["198.51.100.7", "203.0.113.5, 10.0.0.2"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.5, ::ffff:10.0.0.2"], "203.0.113.5"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.5,,"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5, ::FFFF:10.0.0.2, [::ffff:a00:3]:4444"], "203.0.113.5"),
        ("10.0.0.1", ["::ffff:c0a8:101"], "192.168.1.1"),
        ("10.0.0.1", ["10.0.0.9:80, 203.0.113.5:51000, 10.0.0.2:4444"], "203.0.113.5"),
        ("10.0.0.1", ["", " , "], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
    ],
)
def test_a_client_is_the_last_address_that_is_no_trusted_proxy(
    address: str, forwarded: list[str], expected: str
) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    found = TrustedProxies(["10.0.0.0/8"]).client_address(address, entries_of(headers, FORWARDED_FOR))
    assert found == expected


@pytest.mark.parametrize("proxy", ["::ffff:10.0.0.1", "::ffff:0:0/96", "::ffff:a00:0/104"])
def test_a_proxy_may_be_a_mapped_address(proxy: str) -> None:
    proxies = TrustedProxies([proxy])
    assert proxies.client_address("10.0.0.1", [b"2001:db8::1"]) == "2001:db8::1"
    assert proxies.client_address("::ffff:10.0.0.1", [b"2001:db8::1"]) == "2001:db8::1"


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("https://fer.example", "Fer.Example", True),
        ("https://fer.example", "fer.example:443", True),
        ("http://fer.example", "fer.example:80", True),
        ("HTTP://FER.EXAMPLE:80", "fer.example", True),
        ("https://fer.example:8443", "fer.example:8443", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("https://fer.example", "fer.example:80", False),
        ("http://fer.example", "fer.example:443", False),
        ("https://fer.example:8443", "fer.example", False),
        ("https://fer.example", "fer.example:8443", False),
        ("https://fer.example.evil.example", "fer.example", False),
        ("https://fer.example@evil.example", "fer.example", False),
        ("https://evil@fer.example", "fer.example", False),
        ("https://fer.example/", "fer.example", False),
        ("https://fer.example https://evil.example", "fer.example", False),
        ("ftp://fer.example", "fer.example", False),
        ("//fer.example", "fer.example", False),
        ("http://[", "[", False),
        ("http://fer.example:99999", "fer.example:99999", False),
        ("null", "null", False),
        ("", "", False),
    ],
)
def test_an_origin_is_the_hosts_own_up_to_case_and_default_port(origin: str, host: str, same: bool) -> None:
    assert is_same_origin(origin, [host]) is same


@pytest.mark.parametrize(
    ("origin", "host", "schemes", "ports", "same"),
    [
        ("https://fer.example", "fer.example", ["https"], [], True),
        ("http://fer.example", "fer.example", ["https"], [], False),
        ("https://fer.example", "fer.example", ["https", "http"], [], True),
        ("https://fer.example:8443", "fer.example", [], ["8443"], True),
        ("https://fer.example:8443", "fer.example", ["https"], ["8443", "8080"], True),
        ("https://fer.example", "fer.example", [], ["8443"], False),
        ("https://fer.example:9443", "fer.example", [], ["8443"], False),
        ("https://fer.example", "fer.example", ["https"], ["443"], True),
        ("https://fer.example", "fer.example", ["https"], ["80"], True),
        ("http://fer.example", "fer.example", ["http"], ["80"], True),
        ("https://fer.example:8443", "fer.example:8443", [], ["443"], True),
        ("https://fer.example", "fer.example", [], ["", "many", "٣", "9" * 5000], True),
    ],
)
def test_schemes_and_ports_that_proxies_forward_count(
    origin: str, host: str, schemes: list[str], ports: list[str], same: bool
) -> None:
    assert is_same_origin(origin, [host], schemes, ports) is same


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        ("https://fer.example:8443", True),
        ("HTTPS://Fer.Example:8443", True),
        ("http://fer.example:8443", False),
        ("https://fer.example", False),
        ("https://evil.example:8443", False),
    ],
)
@pytest.mark.parametrize("client", ["10.0.0.1", "10.0.0.2"])
def test_a_page_behind_two_proxies_has_the_origin_that_the_browser_saw(
    serve: Serve, origin: str, accepted: bool, client: str
) -> None:
    forwarded = {
        "Host": "inner:8080",
        "X-Forwarded-Host": "Fer.Example, inner:8080",
        "X-Forwarded-Port": "8443, 8080",
        "X-Forwarded-Proto": "https, https",
        "X-Forwarded-For": "203.0.113.5, 10.0.0.1",
    }
    service = serve(FACE, trusted_proxies="10.0.0.1")
    service._transport.client = (client, 1)  # type: ignore[attr-defined]
    stream = {**forwarded, "Origin": origin}
    if accepted and client == "10.0.0.1":
        with service.websocket_connect("/stream", headers=stream):
            pass
    else:
        with (
            pytest.raises(WebSocketDenialResponse) as denied,
            service.websocket_connect("/stream", headers=stream),
        ):
            pass
        assert denied.value.json()["code"] == "forbidden"


def test_allowed_origins_are_written_as_browsers_write_them() -> None:
    settings = load_settings(cors_origins="HTTPS://Fer.Example:443,http://fer.example:80,http://fer.example:8080")
    assert settings.cors_origins == ("https://fer.example", "http://fer.example", "http://fer.example:8080")


def test_names_and_addresses_are_allowed_by_their_patterns() -> None:
    patterns = ("fer.example", "*.good.org", "::1")
    for name in ("fer.example", "fer.example.", "a.good.org", "a.b.good.org", "[::1]"):
        assert is_allowed(name, patterns)
    for name in ("good.org", "notgood.org", "xfer.example", "fer.example.evil.org", "*.good.org.evil", ""):
        assert not is_allowed(name, patterns)
    assert is_allowed("anything", ("*",))


def test_an_address_is_no_name() -> None:
    assert all(map(is_address, ("127.0.0.1", "[::1]", "localhost")))
    assert not any(map(is_address, ("fer.example", "127.0.0.1.evil.org", "")))


def test_every_host_is_answered_by_default(serve: Serve) -> None:
    client = serve(FACE)
    for host in ("fer.example", "evil.example:99999", "["):
        assert client.get("/model", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/model", "/docs", "/nowhere"])
def test_hosts_that_are_not_listed_are_refused(serve: Serve, path: str) -> None:
    client = serve(FACE, allowed_hosts=LISTED)
    for host in ("FER.example:8000", "a.good.org", "[::1]:80"):
        assert client.get(path, headers={"Host": host}).status_code in {200, 404}
    for host in ("evil.example", "good.org", "127.0.0.1", "["):
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "misdirected_request")
        assert "FER_ALLOWED_HOSTS" in answer.json()["detail"]
        assert host in answer.json()["detail"]
        assert answer.headers["x-request-id"]


def test_an_upload_and_a_stream_for_another_host_are_refused(serve: Serve) -> None:
    client = serve(FACE, allowed_hosts=LISTED)
    evil = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert client.post("/predict", content=plain("lime"), headers=evil).status_code == 421
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/stream", headers=evil):
        pass
    assert (denied.value.status_code, denied.value.json()["code"]) == (421, "misdirected_request")


@pytest.mark.parametrize("path", PROBED)
def test_probes_may_use_the_address_of_a_replica(serve: Serve, path: str) -> None:
    client = serve(FACE, allowed_hosts=LISTED)
    for host, status in (("10.0.0.7:8000", 200), ("[fd00::7]:8000", 200), ("localhost", 200), ("evil.org", 421)):
        assert client.get(path, headers={"Host": host}).status_code == status


@pytest.mark.parametrize("hosts", ["", "fer.example:8000", "http://fer.example", "a b", "*.*", "fer*.org", "a/b"])
def test_a_list_of_hosts_holds_hosts_only(hosts: str) -> None:
    with pytest.raises(SettingsError, match="FER_ALLOWED_HOSTS"):
        load_settings(allowed_hosts=hosts)


@pytest.mark.parametrize("proxies", ["10.0.0.1/8", "proxy.example", "*", "10.0.0.256", "10.0.0.0/33", "a,b"])
def test_a_list_of_proxies_holds_addresses_and_networks_only(proxies: str) -> None:
    with pytest.raises(SettingsError, match="FER_TRUSTED_PROXIES"):
        load_settings(trusted_proxies=proxies)


@pytest.mark.parametrize(
    ("proxies", "accepted"), [("", False), ("10.0.0.0/8", False), ("192.168.0.1", True), ("192.168.0.0/16", True)]
)
def test_only_a_trusted_proxy_names_the_host(serve: Serve, proxies: str, accepted: bool, key_file: Path) -> None:
    # The last host is the one that the proxy added.
    headers = {"Host": "fer:8000", "X-Forwarded-Host": "evil.example, fer.example", "X-API-Key": FIRST}
    client = serve(FACE, trusted_proxies=proxies, allowed_hosts="fer.example", api_keys_file=key_file)
    client._transport.client = ("192.168.0.1", 1)  # type: ignore[attr-defined]
    assert client.get("/model", headers=headers).status_code == (200 if accepted else 421)
    stream = {**headers, "Origin": "https://fer.example"}
    if accepted:
        with client.websocket_connect("/stream", headers=stream):
            pass
    else:
        with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/stream", headers=stream):
            pass


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_addresses_of_one_site_are_one_client(address: str, client: str) -> None:
    assert client_of(address) == client
