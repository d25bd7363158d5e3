"""What the browser gets beside a page's content: its files, its template, its security policy."""

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
    """Return under which paths a page and our own files are, for its template."""
    place = request.scope.get("root_path", "")
    return {"place": place, "static": request.scope.get("app_root_path", place) + "/static"}


async def static_file(request: Request) -> Response:
    """Hand out one of our own files, and no other."""
    name = request.path_params["name"]
    if name not in FILES:
        return Response(status_code=404)
    content = resources.files("labwright.live").joinpath("static", name).read_bytes()
    kind = TYPES[name.rpartition(".")[2]]
    return Response(content, media_type=kind)


def template(name: str) -> Any:
    """Return one of our pages' templates: everything is escaped, nothing is undefined."""
    source = resources.files("labwright.live").joinpath("static", name).read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(line=text.line, number=wording.number)
    return environment.from_string(source)


def policy(nonce: str, host: str) -> str:
    """Return the Content-Security-Policy: nothing but our own files.

    xterm.js makes style elements, which the page's script gives the nonce.
    """
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; "
        f"img-src 'self' data:; connect-src 'self' ws://{host}; font-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
