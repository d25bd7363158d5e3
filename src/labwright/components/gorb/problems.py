"""What can go wrong, in the words that Gorb's clients know.

::

    GorbError          answered to the client as ``{"error": "..."}``
    ├── Invalid        400: the request asks for what cannot be
    ├── ObjectNotFound 404
    ├── ObjectExists   409
    ├── IpvsFailed     500: the kernel refused
    └── StoreFailed    500: the store (``-store``) did not do it
    StartError         the daemon cannot start; one sentence, exit status 1
"""

from __future__ import annotations


class GorbError(Exception):
    """A request that was not carried out; the message is the answer's ``error``."""

    status = 400


class Invalid(GorbError):  # noqa: N818  the words of the answer, not of a traceback
    """The request's body asks for what cannot be."""


class ObjectNotFound(GorbError):  # noqa: N818
    """No service or backend has this id."""

    status = 404

    def __init__(self) -> None:
        super().__init__("unable to locate specified object")


class ObjectExists(GorbError):  # noqa: N818
    """The id is taken."""

    status = 409

    def __init__(self) -> None:
        super().__init__("specified object already exists")


class IpvsFailed(GorbError):  # noqa: N818
    """The kernel refused; what it said is in the log, not in the answer."""

    status = 500

    def __init__(self) -> None:
        super().__init__("error while calling into IPVS")


class StoreFailed(GorbError):  # noqa: N818
    """The store did not do it; why is in the log, not in the answer."""

    status = 500

    def __init__(self) -> None:
        super().__init__("error while calling into the store")


class StartError(Exception):
    """The daemon cannot start; the message is one sentence that says what to do."""
