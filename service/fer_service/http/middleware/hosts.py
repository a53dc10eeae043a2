"""Refusal of requests and streams for other hosts, which stops DNS rebinding."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fer_service.contract.errors import MisdirectedRequest
from fer_service.http.hosts import is_address, is_allowed, parse_authority
from fer_service.http.probed import is_probed
from fer_service.http.problems import error_response


class AllowedHostsMiddleware:
    """Answers only the hosts that the operator named.

    A page of another site can point its own name at the address of this service. Its requests then count as the
    page's own origin, but their Host is the page's name.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        """Wrap an app.

        Args:
            app: The app.
            allowed: Patterns of hosts (see `is_allowed`).
        """
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or stream."""
        if scope["type"] in {"http", "websocket"}:
            hosts = Headers(scope=scope).getlist("host")
            if not self._answers(hosts, scope["path"]):
                error = MisdirectedRequest(
                    f"this service does not answer to the host {', '.join(hosts) or '(none)'}; "
                    "the setting FER_ALLOWED_HOSTS lists the hosts"
                )
                await error_response(error, scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _answers(self, hosts: list[str], path: str) -> bool:
        host = parse_authority(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return False
        return is_allowed(host.name, self._allowed) or (is_probed(path) and is_address(host.name))
