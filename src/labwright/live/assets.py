"""Static files, templates and the Content-Security-Policy of the pages."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from starlette.responses import Response

from labwright import text
from labwright.reports import wording

if TYPE_CHECKING:
    from starlette.requests import Request

TYPES = {"css": "text/css", "js": "text/javascript", "mjs": "text/javascript"}
FILES = (
    "page.css",
    "page.js",
    "xterm/xterm.mjs",
    "xterm/addon-fit.mjs",
    "xterm/xterm.css",
    "board.css",
    "board.js",
)


def paths(request: Request) -> dict[str, str]:
    """Return the paths of the page and of the static files, for its template."""
    place = request.scope.get("root_path", "")
    return {"place": place, "static": request.scope.get("app_root_path", place) + "/static"}


async def static_file(request: Request) -> Response:
    """Serve one of labwright's static files."""
    name = request.path_params["name"]
    if name not in FILES:
        return Response(status_code=404)
    content = resources.files("labwright.live").joinpath("static", name).read_bytes()
    kind = TYPES[name.rpartition(".")[2]]
    return Response(content, media_type=kind)


def template(name: str) -> Any:
    """Return the template of a page; values are escaped, and a missing value is an error."""
    source = resources.files("labwright.live").joinpath("static", name).read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(line=text.line, number=wording.number)
    return environment.from_string(source)


def policy(nonce: str, host: str) -> str:
    """Return the Content-Security-Policy, which allows only labwright's own files.

    xterm.js creates style elements; the page's script gives them the nonce.
    """
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; "
        f"img-src 'self' data:; connect-src 'self' ws://{host}; font-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
