from fer_service.http.connections.limits import _MAX_ADDRESSES, ConnectionLimits, HandshakeRates, Pace, Rate


def test_silence_is_allowed_for_the_grace_period() -> None:
    pace = Pace(grace=10, bytes_per_second=100)
    assert not pace.too_slow(9, 0)
    assert pace.too_slow(2, 0)


def test_the_minimum_rate_is_allowed_for_ever_and_less_is_not() -> None:
    fair, slow = Pace(grace=10, bytes_per_second=100), Pace(grace=10, bytes_per_second=100)
    assert not any(fair.too_slow(1, 100) for _ in range(1000))
    assert [slow.too_slow(1, 50) for _ in range(21)].index(True) == 20


def test_a_fast_beginning_does_not_allow_a_longer_silence() -> None:
    pace = Pace(grace=10, bytes_per_second=100)
    assert not pace.too_slow(1, 10**9)
    assert pace.too_slow(11, 0)


def test_another_transfer_has_a_grace_period_of_its_own() -> None:
    pace = Pace(grace=10, bytes_per_second=100)
    assert not pace.too_slow(9, 0)
    pace.restart()
    assert not pace.too_slow(9, 0)


def test_a_rate_allows_a_second_at_once_and_then_its_share() -> None:
    rate = Rate(10)
    assert not rate.exceeded(10, now=100.0)
    assert rate.exceeded(1, now=100.0)
    later = Rate(10)
    assert not any(later.exceeded(5, now=100 + step / 2) for step in range(100))


def test_what_exceeds_a_rate_does_not_count() -> None:
    rate = Rate(10, burst=20)
    assert not rate.exceeded(20, now=100.0)
    assert all(rate.exceeded(1, now=100.0) for _ in range(1000))
    assert not rate.exceeded(1, now=100.2)


def test_each_address_has_a_rate_of_handshakes() -> None:
    rates = HandshakeRates(ConnectionLimits(handshakes_per_second=10, handshakes_at_once=2))
    assert [rates.exceeded("a", 100.0) for _ in range(3)] == [False, False, True]
    assert not rates.exceeded("b", 100.0)
    assert not rates.exceeded("a", 100.2)


def test_many_addresses_do_not_make_a_busy_one_forgotten() -> None:
    rates = HandshakeRates(ConnectionLimits(handshakes_per_second=0, handshakes_at_once=1))
    assert not rates.exceeded("first", 0.0)
    assert not rates.exceeded("busy", 0.0)
    for number in range(_MAX_ADDRESSES):
        assert not rates.exceeded(str(number), 0.0)
        assert rates.exceeded("busy", 0.0)
    assert not rates.exceeded("first", 0.0)  # forgotten
