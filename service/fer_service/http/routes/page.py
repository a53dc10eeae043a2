"""GET / and GET /docs: the pages, made of files that come with packages; GET /openapi.json."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import fastapi_offline
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER: Final = Path(__file__).parents[2] / "web"
_SWAGGER: Final = (
    Path(fastapi_offline.__file__).parent / "static"
)  # Swagger UI and its licence, without an address
_NOWHERE: Final = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# The page loads only its own files, has nothing inline, and sends nothing elsewhere.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    f"connect-src 'self'; {_NOWHERE}; require-trusted-types-for 'script'"
)
# Swagger UI writes HTML as text, draws its icons from data: addresses, and shows images that the API returns.
_DOCS_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    f"connect-src 'self'; {_NOWHERE}"
)
_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Browsers ask each time and get 304 by the ETag, so that a new version shows at once.
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    """Files of a page with security headers."""

    def __init__(self, directory: Path, policy: str) -> None:
        super().__init__(directory=directory)
        self._headers: Mapping[str, str] = {"Content-Security-Policy": policy, **_HEADERS}

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(self._headers)
        return response


def add_page(app: FastAPI) -> None:
    """Serve the page at /, the page of the API at /docs, their files under /web, and the schema of the API."""
    files, docs, swagger = _Files(FOLDER, _POLICY), _Files(FOLDER, _DOCS_POLICY), _Files(_SWAGGER, _DOCS_POLICY)
    # Not a mount, whose requests would have no route in metrics and logs.
    add = partial(app.api_route, methods=["GET", "HEAD"], include_in_schema=False)

    @add("/")
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    @add("/docs")
    async def api_page(request: Request) -> Response:
        return await docs.get_response("docs.html", request.scope)

    @add("/openapi.json")
    async def schema() -> Response:
        return JSONResponse(app.openapi())

    @add("/web/swagger/{path:path}")
    async def swagger_file(path: str, request: Request) -> Response:
        return await swagger.get_response(path, request.scope)

    @add("/web/{path:path}")
    async def page_file(path: str, request: Request) -> Response:
        return await files.get_response(path, request.scope)
