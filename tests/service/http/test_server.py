import socket

import pytest
from fer_service.contract.errors import StartError
from fer_service.contract.settings import load_settings
from fer_service.http.server import listen


def test_an_address_in_use_is_named() -> None:
    with listen(load_settings(port=0)) as taken:
        port = taken.getsockname()[1]
        taken.listen()
        with pytest.raises(StartError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .* \(FER_HOST, FER_PORT\)"):
            listen(load_settings(port=port))


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_an_ipv6_address_is_accepted() -> None:
    with listen(load_settings(host="::1", port=0)) as listener:
        assert listener.family is socket.AF_INET6
