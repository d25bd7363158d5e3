"""The daemon's interface as an OpenAPI description, served at ``/openapi.json``.

An addition: the original has none. It tells what is answered, not all that is accepted: like
the original, the daemon takes unknown keys, and keys in another case.
"""

from __future__ import annotations

from typing import Any

from labwright.components.gorb.options import FORWARDING, PROTOCOLS, PULSES

STRING = {"type": "string"}
FLAG = "(sh-fallback|sh-port|flag-[123])"
PULSE = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": list(PULSES), "default": "tcp"},
        "interval": {
            "type": "string",
            "pattern": "^[0-9]+(s|sec|seconds|m|min|minutes|h|hours)$",
            "default": "1m",
        },
        "args": {
            "type": "object",
            "nullable": True,
            "description": "Of an http pulse.",
            "properties": {
                "method": {"type": "string", "default": "GET"},
                "host": STRING,
                "port": {"type": "integer"},
                "path": {"type": "string", "default": "/"},
                "expect": {"type": "integer", "default": 200},
            },
        },
    },
}
SERVICE_OPTIONS = {
    "type": "object",
    "required": ["port"],
    "properties": {
        "host": {"type": "string", "description": "Default: the address of the device of -i."},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "protocol": {"type": "string", "enum": list(PROTOCOLS), "default": "tcp"},
        "method": {"type": "string", "default": "wrr", "description": "An IPVS scheduler."},
        "flags": {"type": "string", "pattern": rf"^({FLAG}(\|{FLAG})*)?$", "default": ""},
        "persistent": {
            "type": "boolean",
            "default": False,
            "description": "Shown, and never passed to the kernel.",
        },
    },
}
BACKEND_OPTIONS = {
    "type": "object",
    "required": ["host", "port"],
    "properties": {
        "host": {"type": "string", "minLength": 1},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "weight": {"type": "integer", "format": "int32", "default": 100},
        "method": {"type": "string", "enum": list(FORWARDING), "default": "nat"},
        "pulse": PULSE,
        "vsid": {"type": "string", "description": "The service's id, where there is a store."},
    },
}
SERVICE = {
    "type": "object",
    "required": ["options", "health", "backends"],
    "properties": {
        "options": {"allOf": [SERVICE_OPTIONS, {"required": list(SERVICE_OPTIONS["properties"])}]},
        "health": {"type": "number", "minimum": 0, "maximum": 1},
        "backends": {"type": "array", "items": STRING, "nullable": True, "minItems": 1},
    },
}
BACKEND = {
    "type": "object",
    "required": ["options", "metrics"],
    "properties": {
        "options": {
            "allOf": [
                BACKEND_OPTIONS,
                {"required": ["host", "port", "weight", "method", "pulse"]},
            ]
        },
        "metrics": {
            "type": "object",
            "required": ["status", "health", "uptime"],
            "properties": {
                "status": {
                    "type": "integer",
                    "enum": [0, 1, 2],
                    "description": "0 up, 1 down, 2 removed.",
                },
                "health": {"type": "number", "minimum": 0, "maximum": 1},
                "uptime": {"type": "integer", "minimum": 0, "description": "Seconds."},
            },
        },
    },
}
WEIGHT = {"type": "object", "properties": {"weight": {"type": "integer", "format": "int32"}}}
ERROR = {"type": "object", "required": ["error"], "properties": {"error": STRING}}

PROBLEMS = {
    301: "The path is not clean: where it is when it is.",
    400: "The request asks for what cannot be.",
    404: "There is no such service or backend.",
    409: "The id is taken; those of backends are global.",
    413: "The body is larger than 1 MiB.",
    500: "The kernel (or the store) refuses; nothing has changed.",
}
WITHOUT_BODY = (301,)


def description() -> dict[str, Any]:
    """Return the description."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Gorb",
            "version": "1",
            "description": "A REST front end to the kernel's IPVS.",
        },
        "paths": {
            "/service": {"get": _operation("list of ids", {"type": "array", "items": STRING})},
            "/service/{vsID}": {
                "parameters": [_id("vsID")],
                "get": _operation("a service", SERVICE, 404),
                "put": _operation(
                    "create a service", None, 400, 409, 413, 500, body=SERVICE_OPTIONS
                ),
                "delete": _operation("remove a service and its backends", None, 404, 500),
            },
            "/service/{vsID}/{rsID}": {
                "parameters": [_id("vsID"), _id("rsID")],
                "get": _operation("a backend, whatever the service", BACKEND, 404),
                "put": _operation(
                    "create a backend", None, 400, 404, 409, 413, 500, body=BACKEND_OPTIONS
                ),
                "patch": _operation(
                    "set a backend's weight", None, 400, 404, 413, 500, body=WEIGHT
                ),
                "delete": _operation("remove a backend", None, 404, 500),
            },
            "/metrics": {"get": _operation("metrics for Prometheus", STRING, kind="text/plain")},
            "/openapi.json": {"get": _operation("this description", {"type": "object"})},
        },
    }


def _id(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    }


def _operation(
    summary: str,
    schema: dict[str, Any] | None,
    *problems: int,
    body: dict[str, Any] | None = None,
    kind: str = "application/json",
) -> dict[str, Any]:
    """Describe a request: what it answers (None: nothing), and what it may be refused with."""
    found: dict[str, Any] = {"description": "Done."}
    if schema is not None:
        found["content"] = {kind: {"schema": schema}}
    responses = {"200": found}
    for status in (301, *problems):
        responses[str(status)] = {"description": PROBLEMS[status]}
        if status not in WITHOUT_BODY:
            responses[str(status)]["content"] = {"application/json": {"schema": ERROR}}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    return operation
