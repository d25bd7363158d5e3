"""Access control for a page with a terminal: only the holder of the token is let in.

Any program on this computer can connect to a loopback port, and any web site can make the
browser do so. So each request must have an expected Host header (any other name that resolves to
127.0.0.1 is DNS rebinding), must not come from another origin, and must carry the cookie. The
cookie is given in exchange for the token in the page's address. A token works once, so a copied
address is of no use.

A browser sends a host's cookies to all ports of that host. So the cookie is limited to a random
path: the browser does not send it to a server of another user on this computer.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.websockets import WebSocketClose

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

REFUSED = (
    "This page is for the user who started labwright. Open the address that it printed. An address "
    "works once: if somebody else has used yours, start labwright again.\n"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """An ASGI application that refuses requests of others."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        """Create a new token.

        :param hosts: the allowed values of the Host header, with the port.
        """
        self._app = app
        self._hosts = hosts
        self._secret = secrets.token_urlsafe(32)
        self.token = secrets.token_urlsafe(32)
        self.place = f"/{secrets.token_urlsafe(16)}"
        """The random path under which the application is served."""
        self.cookie = f"labwright-{secrets.token_hex(4)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request to the application, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            return
        connection = HTTPConnection(scope)
        if not self._from_our_page(connection.headers):
            await self._refuse(scope, receive, send)
        elif self._may_see(scope["path"], connection.cookies.get(self.cookie)):
            await self._app({**scope, "root_path": self.place}, receive, _with_headers(send))
        elif scope["type"] == "http" and self._redeems(scope):
            await self._let_in(scope, receive, send)
        else:
            await self._refuse(scope, receive, send)

    def _from_our_page(self, headers: Headers) -> bool:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return False
        site = headers.get("sec-fetch-site", "none")
        own = all(origin.lower() == f"http://{hosts[0].lower()}" for origin in origins)
        return own and site in ("none", "same-origin")

    def _may_see(self, path: str, cookie: str | None) -> bool:
        return path.startswith(f"{self.place}/") and self._has(cookie, self._secret)

    def _redeems(self, scope: Scope) -> bool:
        """Whether a request has the token, which works once."""
        if scope["method"] != "GET" or scope["path"] != "/":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        if not self.token or not self._has(given[0], self.token):
            return False
        self.token = ""
        return True

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = RedirectResponse(f"{self.place}/", 303, HEADERS)
        response.set_cookie(
            self.cookie, self._secret, httponly=True, samesite="strict", path=self.place
        )
        await response(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)
        else:
            await PlainTextResponse(REFUSED, 403, HEADERS)(scope, receive, send)

    @staticmethod
    def _has(given: str | None, wanted: str) -> bool:
        return hmac.compare_digest((given or "").encode(), wanted.encode())


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
