"""The container health check: `python -m fer_service.http.probe` asks this machine's service if it is ready.

It imports only the standard library, because it runs every few seconds.
"""

import http.client
import os
import sys
from collections.abc import Mapping
from http import HTTPStatus

_SECONDS = 4
_PORT = "8000"
_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (recognised, not listened on)


def probe(environment: Mapping[str, str]) -> str:
    """Request /readyz.

    Args:
        environment: `FER_HOST` and `FER_PORT` name the address, as for the service. Of a Service named `fer`,
            Kubernetes sets FER_PORT to a URL, which is not a setting.

    Returns:
        Empty if the service is ready, else the reason.
    """
    host, port = environment.get("FER_HOST") or "127.0.0.1", environment.get("FER_PORT") or _PORT
    if "://" in port:
        port = _PORT
    try:
        connection = http.client.HTTPConnection(_ANY_ADDRESS.get(host, host), int(port), timeout=_SECONDS)
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"no answer from {host}:{port}: {error}"
    return "" if answer.status == HTTPStatus.OK else f"{answer.status} {body}"


def main() -> None:
    """Exit with 0 if the service is ready, else with 1 and the reason."""
    sys.exit(probe(os.environ) or None)


if __name__ == "__main__":
    main()
