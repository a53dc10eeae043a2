import pytest
from fer_service.http.connections.limits import ConnectionLimits

from tests.service.http.connections.conftest import HANDSHAKE, Start, code_of, is_closed, read_all, status_of

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"Connection: close\r\n"


def lines(count: int, size: int = 4) -> bytes:
    return b"".join(b"X-%03d: %s\r\n" % (number, b"v" * size) for number in range(count))


@pytest.mark.parametrize("extra", [lines(98), lines(60, 1000), b"X: " + b"v" * 60_000 + b"\r\n"])
def test_a_head_within_the_limits_is_served(start: Start, extra: bytes) -> None:
    assert status_of(start().raw(GET + CLOSE + extra + b"\r\n")) == 200


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (GET + lines(101) + b"\r\n", 431, "head_too_large"),
        (GET + lines(70, 1000) + b"\r\n", 431, "head_too_large"),
        (GET + lines(5000, 1000), 431, "head_too_large"),
        (GET + b"X: " + b"v" * 3_000_000, 431, "head_too_large"),
        (GET + b"x" * 3_000_000, 431, "head_too_large"),
        (b"\r\n" * 1_000_000, 431, "head_too_large"),
        (b"GET /livez?" + b"q" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "url_too_long"),
        (b"GET /" + b"a" * 3_000_000, 414, "url_too_long"),
        (b"NO SUCH THING\r\n\r\n", 400, "invalid_request"),
        (b"\x16\x03\x01\x02\x00", 400, "invalid_request"),
        (GET + b"Content-Length: 4, 4\r\n\r\nabcd", 400, "invalid_request"),
    ],
)
def test_a_head_beyond_a_limit_is_answered_before_the_connection_closes(
    start: Start, head: bytes, status: int, code: str
) -> None:
    service = start()
    answer = service.raw(head)
    assert (status_of(answer), code_of(answer)) == (status, code)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert service.alive()


def test_refused_heads_are_counted(start: Start) -> None:
    service = start()
    service.raw(b"GET /" + b"u" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    registry = service.server.config.metrics.registry
    assert registry.get_sample_value("fer_requests_total", {"route": "unmatched", "code": "414"}) == 1


@pytest.mark.parametrize(
    ("url", "extra", "status"),
    [
        (b"/stream", lines(101), 431),
        (b"/stream", b"X: " + b"v" * 9000 + b"\r\n", 431),
        (b"/stream?" + b"q" * 8180, b"", 414),
        (b"/stream", b"Content-Length: 3\r\n", 400),
        (b"/stream", b"Transfer-Encoding: chunked\r\n", 400),
        (b"/stream", b"Content-Length: 0\r\n", 101),
        (b"/stream%0a", b"", 404),
    ],
)
def test_the_handshake_of_a_stream_is_always_answered(start: Start, url: bytes, extra: bytes, status: int) -> None:
    connection = start().connect()
    connection.sendall(b"GET " + url + b" HTTP/1.1\r\nHost: x\r\n" + HANDSHAKE.encode() + extra + b"\r\n")
    answer = connection.recv(65536)
    assert status_of(answer) == status
    if status != 101:
        assert code_of(answer + read_all(connection))


@pytest.mark.parametrize("url", [b"//predict", b"/predict%0a", b"/x/../predict", b"/x/%2e%2e/predict"])
def test_another_spelling_of_a_path_is_unknown(start: Start, url: bytes) -> None:
    answer = start().raw(b"POST " + url + b" HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"Content-Length: 1\r\n\r\na")
    assert (status_of(answer), code_of(answer)) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "before", "after"),
    [
        (b"GET", "Version: 13", "Version: 8"),
        (b"GET", "Sec-WebSocket-Key", "X-Key"),
        (b"POST", "Sec-WebSocket", "Sec-WebSocket"),
    ],
)
def test_an_invalid_handshake_gets_a_problem(start: Start, method: bytes, before: str, after: str) -> None:
    handshake = HANDSHAKE.replace(before, after).encode()
    answer = start().raw(method + b" /stream HTTP/1.1\r\nHost: x\r\n" + handshake + b"\r\n")
    assert (status_of(answer), code_of(answer)) == (400, "invalid_request")
    assert b"the handshake of the stream is invalid" in answer


def test_a_head_that_does_not_end_in_time_gets_408(start: Start) -> None:
    service = start(ConnectionLimits(head_seconds=0.1, tick=0.02))
    answer = service.raw(GET)
    assert (status_of(answer), code_of(answer)) == (408, "request_too_slow")


def test_bytes_one_by_one_do_not_make_a_head_last(start: Start) -> None:
    connection = start(ConnectionLimits(head_seconds=0.2, tick=0.02)).connect()
    answer = b""
    connection.settimeout(0.02)
    for byte in GET + lines(98):
        connection.sendall(bytes([byte]))
        try:
            answer = connection.recv(65536)
            break
        except TimeoutError:
            pass
    assert status_of(answer) == 408


def test_a_connection_that_sends_nothing_is_closed_without_a_word(start: Start) -> None:
    assert read_all(start(ConnectionLimits(head_seconds=0.1, tick=0.02)).connect()) == b""


@pytest.mark.parametrize("hosts", [b"", b"Host: x\r\nHost: x\r\n"])
def test_a_request_has_one_host(start: Start, hosts: bytes) -> None:
    answer = start().raw(b"GET /livez HTTP/1.1\r\n" + hosts + CLOSE + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"it must have one" in answer


def test_version_1_0_needs_no_host_and_knows_no_continue(start: Start) -> None:
    service = start()
    assert service.raw(b"GET /livez HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    body = b"Content-Type: text/plain\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx"
    assert service.raw(b"POST /predict HTTP/1.0\r\n" + body).startswith(b"HTTP/1.1 415 ")


def test_a_line_break_after_an_answer_does_not_keep_the_connection(start: Start) -> None:
    connection = start(ConnectionLimits(head_seconds=0.2, tick=0.02)).connect()
    connection.sendall(GET + b"\r\n")
    assert status_of(connection.recv(65536)) == 200
    connection.sendall(b"\r\n")
    assert is_closed(connection)


def test_pipelined_requests_are_answered_in_order(start: Start) -> None:
    requests = [b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in (b"livez", b"nowhere", b"model") * 5]
    last = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = start().raw(b"".join(requests) + last).split(b"HTTP/1.1 ")[1:]
    assert [int(answer[:3]) for answer in answers] == [200, 404, 200] * 5 + [200]


def test_too_many_pipelined_requests_end_in_a_refusal_after_the_answers(start: Start) -> None:
    answers = start(ConnectionLimits(pipelined=8, tick=0.02)).raw((GET + b"\r\n") * 1000).split(b"HTTP/1.1 ")[1:]
    statuses = [int(answer[:3]) for answer in answers]
    assert statuses == [200] * (len(statuses) - 1) + [400]
    assert len(statuses) >= 9


def test_a_malformed_request_behind_another_is_refused_after_its_answer(start: Start) -> None:
    answers = start().raw(GET + b"\r\nNO SUCH THING\r\n\r\n").split(b"HTTP/1.1 ")[1:]
    assert [int(answer[:3]) for answer in answers] == [200, 400]


def test_an_upgrade_to_another_protocol_is_ignored(start: Start) -> None:
    answer = start().raw(GET + b"Upgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n")
    assert status_of(answer) == 200
