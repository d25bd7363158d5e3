"""A client for a Docker Engine that limits the size and duration of each answer.

The docker package's time-out is for one read: an Engine that sends a byte now and then would
block forever, and the whole answer is kept in memory. So the limit is applied at the socket.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import docker
import requests
from docker.transport import UnixHTTPAdapter, unixconn

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ANSWER_LIMIT = 16 << 20
"""Maximum bytes of one answer."""
ANSWER_S = 30
"""Maximum seconds for one request and its answer."""


class AnswerTooLong(docker.errors.DockerException):
    """An answer exceeded the size or time limit."""


class _Bound:
    """The bytes and seconds that are left for one answer."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.exceeded = ""
        self._left = ANSWER_LIMIT
        self._deadline = time.monotonic() + ANSWER_S

    def remaining(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            self.is_over()
            raise TimeoutError
        return left

    def is_over(self) -> None:
        """Note that the time is over, unless the Engine has sent nothing at all."""
        if self._left < ANSWER_LIMIT:
            self.exceeded = f"took more than {ANSWER_S} s"

    def count(self, received: int) -> None:
        self._left -= received
        if self._left < 0:
            self.exceeded = f"had more than {ANSWER_LIMIT >> 20} MiB"
            raise OSError(self.exceeded)


class _Socket(socket.socket):
    """A socket whose reads fail when the limit is exceeded."""

    bound: _Bound

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(self.bound.remaining())
        try:
            received = super().recv_into(buffer, nbytes, flags)
        except TimeoutError:
            self.bound.is_over()
            raise
        self.bound.count(received)
        return received


class _Connection(unixconn.UnixHTTPConnection):
    bound: _Bound

    def connect(self) -> None:
        self.sock = _Socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bound = self.bound
        self.sock.settimeout(self.bound.remaining())
        self.sock.connect(self.unix_socket)


class _Pool(unixconn.UnixHTTPConnectionPool):
    bound: _Bound

    def _new_conn(self) -> Any:  # urllib3's type is private
        connection = _Connection(self.base_url, self.socket_path, ANSWER_S)
        connection.bound = self.bound
        return connection


class _Adapter(UnixHTTPAdapter):
    bound: _Bound

    def get_connection(self, url: str | bytes, proxies: Any = None) -> _Pool:  # noqa: ARG002
        with self.pools.lock:
            pool = self.pools.get(url)
            if not pool:
                pool = _Pool(str(url), self.socket_path, self.timeout, maxsize=self.max_pool_size)
                pool.bound = self.bound
                self.pools[url] = pool
        return pool


class _Api(docker.APIClient):
    def __init__(self, path: str) -> None:
        self._bound = _Bound()
        self._path = path
        super().__init__(base_url=f"unix://{path}", timeout=ANSWER_S)

    def mount(self, prefix: str | bytes, adapter: Any) -> None:
        if isinstance(adapter, UnixHTTPAdapter):
            adapter = _Adapter(f"http+unix://{self._path}", ANSWER_S)
            adapter.bound = self._bound
        super().mount(prefix, adapter)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self._bound.begin()
        try:
            return super().send(request, **kwargs)
        except (requests.RequestException, OSError) as problem:
            if self._bound.exceeded:
                raise AnswerTooLong(self._bound.exceeded) from problem
            raise


class Client(docker.DockerClient):
    """A docker client that uses a Unix socket on this computer."""

    def __init__(self, path: str) -> None:
        self.api = _Api(path)
