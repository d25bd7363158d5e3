"""``-c``: services registered with a Consul agent, so that others can discover them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from labwright.components.gorb.problems import StartError
from labwright.components.gorb.store import TIMEOUT_S, client_package

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("gorb")


class Catalogue:
    """The services that a Consul agent knows by us; each is named by its id.

    As in the original, a failure is told in the log and stops nothing: discovery is an
    addition to the service, not a part of it.
    """

    def __init__(self, url: str) -> None:
        """Take note of where the agent is; nothing is asked of it yet.

        :raises StartError: the URL is none, or the package that speaks to Consul is missing.
        """
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if parts.scheme not in ("http", "https") or not host:
            raise StartError(f"-c {url} is not a URL of Consul, as in `-c http://127.0.0.1:8500`")
        consul = client_package("consul", "-c")
        self._failures = (consul.ConsulException, OSError, ValueError)
        log.info("creating Consul client with Agent URL: %s", url)
        client = consul.Consul(host, port, scheme=parts.scheme, connections_timeout=TIMEOUT_S)
        self._agent = client.agent.service

    def expose(self, name: str, address: str, port: int) -> None:
        """Register a service."""
        self._ask("expose", self._agent.register, name, address=address, port=port)

    def remove(self, name: str) -> None:
        """Take a service out again."""
        self._ask("remove", self._agent.deregister, name)

    def _ask(self, what: str, operation: Callable[..., Any], name: str, **more: Any) -> None:
        try:
            done = operation(name, **more)
        except self._failures as problem:
            log.error("Consul did not %s service [%s]: %s", what, name, problem)
        else:
            if not done:
                log.error("Consul did not %s service [%s]: it knows no such request", what, name)
