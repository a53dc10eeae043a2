import socket
import subprocess
import sys

import pytest
from fer_service.contract.errors import StartError
from fer_service.contract.settings import load_settings
from fer_service.http.connections.limits import ConnectionLimits
from fer_service.http.server import connection_config, listen

from tests.service.http.conftest import build


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


def test_idle_connections_outlive_those_that_load_balancers_keep() -> None:
    # Google Cloud keeps them for 600 s, AWS and nginx for 60 s. A request on a closed one would be a 502.
    assert connection_config(build(), load_settings(), ConnectionLimits()).timeout_keep_alive > 600


def test_images_get_their_turn_while_the_event_loop_is_busy() -> None:
    program = """
import os, signal, sys
from fer_service.contract.settings import load_settings
from fer_service.http.server import listen, serve

def on_serving():
    print(sys.getswitchinterval(), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

settings = load_settings(port=0, detector="own")
with listen(settings) as listener:
    serve(settings, listener, on_serving)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert float(result.stdout) < 0.001
