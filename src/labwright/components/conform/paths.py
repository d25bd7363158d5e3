"""What is common to all requests: paths, methods, headers, and many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from labwright.components.conform.cases import Group
from labwright.components.conform.gorb import Difference

if TYPE_CHECKING:
    from labwright.components.conform.gorb import Gorb

paths = Group("paths and headers")

AT_ONCE = 100
METRICS = (
    "gorb_service_health",
    "gorb_service_backends",
    "gorb_service_backend_health",
    "gorb_service_backend_status",
    "gorb_service_backend_uptime_seconds",
    "gorb_service_backend_weight",
)


@paths.case
def other_methods_are_not_allowed(gorb: Gorb) -> None:
    service = gorb.with_service()
    backend = gorb.with_backend(service)
    asked = (("PATCH", service), ("POST", service), ("POST", backend), ("PUT", "/service"))
    for method, path in asked:
        gorb.ask(method, path, {}).must_be_empty(405)


@paths.case
def other_paths_are_go_s_404_page(gorb: Gorb) -> None:
    for path in ("/", "/service/", "/nonsense", "/service/a/b/c"):
        reply = gorb.get(path)
        reply.must_show(reply.text(404), "404 page not found\n", "the page")
        reply.must_have("Content-Type", "text/plain; charset=utf-8")
        reply.must_have("X-Content-Type-Options", "nosniff")


@paths.case
def a_path_that_is_not_clean_is_redirected(gorb: Gorb) -> None:
    reply = gorb.get("/service//x")
    reply.text(301)
    reply.must_have("Location", "/service/x")


@paths.case
def an_answer_has_its_date_and_its_length(gorb: Gorb) -> None:
    reply = gorb.get("/service")
    reply.must_have("Content-Length", str(len(reply.body)))
    try:
        parsedate_to_datetime(reply.headers.get("date", ""))
    except ValueError:
        raise Difference(reply.asked, "a Date", reply.headers.get("date", "none")) from None


@paths.case
def metrics_are_told_to_prometheus(gorb: Gorb) -> None:
    service = gorb.with_service()
    backend = gorb.with_backend(service)
    gorb.ask("PATCH", backend, {"weight": 7}).must_be_empty()
    reply = gorb.get("/metrics")
    lines = reply.text().splitlines()
    for name in METRICS:
        shown = [line for line in lines if line.startswith(f"{name}{{") and gorb.id("s") in line]
        reply.must_show(len(shown), 1, f"lines of {name} for the service:")
    weight = next(line for line in lines if line.startswith(METRICS[-1] + "{"))
    reply.must_show(weight.rpartition(" ")[2].removesuffix(".0"), "7", "a weight of")
    for label in ("service_name=", "name=", 'host="192.0.2.101"', 'port="4444"'):
        reply.must_show(label in weight, True, f"a label {label}:")


@paths.case
def of_many_requests_for_one_id_exactly_one_wins(gorb: Gorb) -> None:
    path = f"/service/{gorb.id('race')}"

    def create(number: int) -> int:
        return gorb.put(path, host="192.0.2.1", port=6000 + number, method="rr").status

    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = sorted(pool.map(create, range(AT_ONCE)))
    expected = [200] + [409] * (AT_ONCE - 1)
    if statuses != expected:
        seen = ", ".join(f"{statuses.count(one)} x {one}" for one in sorted(set(statuses)))
        asked = f"{AT_ONCE} x PUT {path}"
        raise Difference(asked, f"1 x 200, {AT_ONCE - 1} x 409", seen)


@paths.addition
def openapi_json_describes_the_interface(gorb: Gorb) -> None:
    reply = gorb.get("/openapi.json")
    described = reply.json()
    reply.must_show("/service/{vsID}" in described.get("paths", {}), True, "its paths:")
