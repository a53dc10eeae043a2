import pytest
from fer_service.contract.errors import NotAcceptable
from fer_service.http.negotiation import negotiate

OFFERED = ("application/json", "image/jpeg", "image/png")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("image/jpeg", "image/jpeg"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/jpeg"),
        ("image/*;q=0.5, image/png", "image/png"),
        ("image/jpeg;q=0.2, image/png;q=0.8", "image/png"),
        ("image/png; q=0.8, */*; q=0.1", "image/png"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("image/avif,image/webp,image/*,*/*;q=0.8", "image/jpeg"),
        ("application/json;q=0, */*", "image/jpeg"),
        ("image/jpeg;q=nonsense, image/png;q=0.1", "image/png"),
        ("image/jpeg;q=nan, image/png;q=0.1", "image/png"),
        ("image/jpeg;q=1_0, image/png;q=0.1", "image/png"),
        ("application/json; charset=utf-8", "application/json"),
    ],
)
def test_the_client_gets_what_it_likes_best(accept: str, expected: str) -> None:
    assert negotiate(accept, OFFERED) == expected


@pytest.mark.parametrize("accept", ["image/webp", "text/html", "*/*;q=0", "image/jpeg;q=0"])
def test_what_nobody_can_send_is_refused_with_what_there_is(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="image/png"):
        negotiate(accept, OFFERED)


def test_a_long_header_takes_little_time_and_is_not_sent_back() -> None:
    with pytest.raises(NotAcceptable) as refused:
        negotiate("a," * 30_000, OFFERED)
    assert len(str(refused.value)) < 300
