"""Services: created, shown, refused, removed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from labwright.components.conform.cases import Group

if TYPE_CHECKING:
    from labwright.components.conform.gorb import Gorb

services = Group("services")

EXISTS = "specified object already exists"
UNKNOWN = "unable to locate specified object"
REFUSED = "error while calling into IPVS"
MISSING = "endpoint information is missing"
STRUCT = "Go struct field ServiceOptions"
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq")


def _refused(gorb: Gorb, body: Any, error: str, status: int = 400) -> None:
    """Demand that a service is refused, and that it is not there then."""
    path = f"/service/{gorb.id('refused')}"
    gorb.ask("PUT", path, body).must_be_error(status, error)
    gorb.get(path).must_be_error(404, UNKNOWN)


@services.case
def a_service_is_created_with_an_empty_200(gorb: Gorb) -> None:
    gorb.with_service()


@services.case
def services_are_listed_by_id(gorb: Gorb) -> None:
    others = gorb.services()
    gorb.with_service()
    reply = gorb.get("/service")
    listed = sorted(reply.json())
    reply.must_show(listed, sorted([*others, gorb.id("s")]), "the ids")
    if not others:
        reply.must_be_json(f'[\n\t"{gorb.id("s")}"\n]'.encode())


@services.case
def without_services_the_list_is_empty(gorb: Gorb) -> None:
    if not gorb.services():
        gorb.get("/service").must_be_json(b"[]")


@services.case
def a_service_is_shown_with_its_defaults_indented_by_tabs(gorb: Gorb) -> None:
    path = f"/service/{gorb.id('s')}"
    gorb.put(path, port=47001).must_be_empty()
    gorb.get(path).must_be_json(
        b'{\n\t"options": {\n\t\t"host": "",\n\t\t"port": 47001,\n\t\t"protocol": "tcp",\n'
        b'\t\t"method": "wrr",\n\t\t"flags": "",\n\t\t"persistent": false\n\t},\n'
        b'\t"health": 1,\n\t"backends": null\n}'
    )


@services.case
def options_are_shown_as_they_were_given(gorb: Gorb) -> None:
    given: dict[str, Any] = {
        "host": "192.0.2.9",
        "port": 65535,
        "protocol": "udp",
        "method": "sh",
        "flags": "sh-fallback|sh-port",
        "persistent": True,
    }
    path = gorb.with_service(**given)
    reply = gorb.get(path)
    reply.must_show(reply.json()["options"], given, "the options")


@services.case
def every_scheduler_of_gorb_s_manual_can_be_had(gorb: Gorb) -> None:
    for number, method in enumerate(SCHEDULERS):
        gorb.with_service(method, method=method, port=5000 + number)


@services.case
def a_protocol_is_known_in_any_case(gorb: Gorb) -> None:
    reply = gorb.get(gorb.with_service(protocol="UDP"))
    reply.must_show(reply.json()["options"]["protocol"], "udp", "the protocol")


@services.case
def every_flag_is_known(gorb: Gorb) -> None:
    for number, flags in enumerate(("flag-1", "flag-2|flag-3", "sh-port")):
        gorb.with_service(str(number), flags=flags, port=5000 + number, method="sh")


@services.case
def tcp_and_udp_do_not_meet_on_one_address(gorb: Gorb) -> None:
    gorb.with_service("t", protocol="tcp")
    gorb.with_service("u", protocol="udp")


@services.case
def a_service_stands_on_an_ipv6_address(gorb: Gorb) -> None:
    gorb.with_service(host="2001:db8::1")


@services.case
def an_id_that_exists_is_refused_whatever_the_options(gorb: Gorb) -> None:
    path = gorb.with_service()
    gorb.put(path, port=4445).must_be_error(409, EXISTS)
    gorb.put(path, host="192.0.2.1", port=4444, method="rr").must_be_error(409, EXISTS)


@services.case
def an_address_that_ipvs_has_is_refused_by_ipvs(gorb: Gorb) -> None:
    gorb.with_service()
    _refused(gorb, {"host": "192.0.2.1", "port": 4444, "method": "rr"}, REFUSED, 500)


@services.case
def a_scheduler_that_ipvs_lacks_is_refused_by_ipvs(gorb: Gorb) -> None:
    _refused(gorb, {"host": "192.0.2.1", "port": 4444, "method": "nonsense"}, REFUSED, 500)


@services.case
def a_service_without_a_port_is_refused(gorb: Gorb) -> None:
    for body in ({}, {"port": 0}, {"host": "192.0.2.1"}, None):
        _refused(gorb, body, MISSING)


@services.case
def a_host_that_is_no_name_is_refused_as_when_a_variable_was_not_expanded(gorb: Gorb) -> None:
    _refused(gorb, {"host": "$IP_ADDR", "port": 4444}, "lookup $IP_ADDR: no such host")


@services.case
def an_unknown_protocol_is_refused(gorb: Gorb) -> None:
    _refused(gorb, {"port": 4444, "protocol": "sctp"}, "specified protocol is unknown")


@services.case
def an_unknown_flag_is_refused(gorb: Gorb) -> None:
    for flags in ("odd", "sh-port|", "sh-port,sh-fallback"):
        _refused(gorb, {"port": 4444, "flags": flags}, "specified flag is unknown")


@services.case
def a_field_of_another_type_is_refused_in_go_s_words(gorb: Gorb) -> None:
    wrong = {
        "string into " + STRUCT + ".port of type uint16": {"port": "4444"},
        "number 70000 into " + STRUCT + ".port of type uint16": {"port": 70000},
        "number -1 into " + STRUCT + ".port of type uint16": {"port": -1},
        "number into " + STRUCT + ".host of type string": {"host": 1, "port": 4444},
        "string into " + STRUCT + ".persistent of type bool": {"port": 1, "persistent": "yes"},
    }
    for what, body in wrong.items():
        _refused(gorb, body, f"json: cannot unmarshal {what}")


@services.case
def a_body_that_is_no_object_is_refused(gorb: Gorb) -> None:
    said = "json: cannot unmarshal array into Go value of type core.ServiceOptions"
    _refused(gorb, b"[]", said)


@services.case
def a_body_that_ends_early_is_refused(gorb: Gorb) -> None:
    _refused(gorb, b"", "EOF")
    _refused(gorb, b'{"port": 44', "unexpected EOF")


@services.case
def a_body_that_is_no_json_is_refused(gorb: Gorb) -> None:
    _refused(gorb, b"port=44", "invalid character 'p' looking for beginning of value")


@services.case
def keys_in_another_case_and_unknown_keys_and_text_after_the_object_are_accepted(
    gorb: Gorb,
) -> None:
    bodies = (
        {"HOST": "192.0.2.1", "Port": 4501, "METHOD": "rr"},
        {"host": "192.0.2.1", "port": 4502, "method": "rr", "odd": [1]},
        b'{"host": "192.0.2.1", "port": 4503, "method": "rr"} and so on',
    )
    for number, body in enumerate(bodies):
        path = f"/service/{gorb.id(str(number))}"
        gorb.ask("PUT", path, body).must_be_empty()
        reply = gorb.get(path)
        reply.must_show(reply.json()["options"]["port"], 4501 + number, "the port")


@services.case
def an_id_may_be_anything_that_a_path_can_say(gorb: Gorb) -> None:
    name = gorb.id("é <&>")
    gorb.put(f"/service/{name}", host="192.0.2.1", port=4444).must_be_empty()
    reply = gorb.get("/service")
    reply.must_show(name in reply.json(), True, f"a list with {json.dumps(name)}:")
    gorb.ask("DELETE", f"/service/{name}").must_be_empty()


@services.case
def a_service_that_is_unknown_is_not_found(gorb: Gorb) -> None:
    for method in ("GET", "DELETE"):
        gorb.ask(method, f"/service/{gorb.id('none')}").must_be_error(404, UNKNOWN)


@services.case
def a_service_that_was_removed_is_gone_and_its_address_is_free(gorb: Gorb) -> None:
    path = gorb.with_service()
    gorb.ask("DELETE", path).must_be_empty()
    gorb.get(path).must_be_error(404, UNKNOWN)
    gorb.ask("DELETE", path).must_be_error(404, UNKNOWN)
    gorb.with_service()
