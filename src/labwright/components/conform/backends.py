"""Backends: created, shown, refused, weighed, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labwright.components.conform.cases import Group
from labwright.components.conform.gorb import NO_PULSE
from labwright.components.conform.services import EXISTS, MISSING, REFUSED, UNKNOWN

if TYPE_CHECKING:
    from labwright.components.conform.gorb import Gorb

backends = Group("backends")

METHODS = ("nat", "dr", "tunnel", "ipip")


def _refused(gorb: Gorb, error: str, status: int = 400, **options: Any) -> None:
    """Demand that a backend is refused, and that it is not there then."""
    service = gorb.with_service()
    path = f"{service}/{gorb.id('refused')}"
    given = {"host": "192.0.2.101", "port": 4444} | options
    reply = gorb.put(path, **{key: value for key, value in given.items() if value is not None})
    reply.must_be_error(status, error)
    gorb.get(path).must_be_error(404, UNKNOWN)
    gorb.clean_up()


@backends.case
def a_backend_is_created_with_an_empty_200(gorb: Gorb) -> None:
    gorb.with_backend(gorb.with_service())


@backends.case
def a_backend_is_shown_with_its_defaults_and_zeros_before_its_first_pulse(gorb: Gorb) -> None:
    path = f"{gorb.with_service()}/{gorb.id('b')}"
    pulse = {"interval": "10h"}
    gorb.put(path, host="192.0.2.101", port=4444, pulse=pulse).must_be_empty()
    gorb.get(path).must_be_json(
        b'{\n\t"options": {\n\t\t"host": "192.0.2.101",\n\t\t"port": 4444,\n\t\t"weight": 100,\n'
        b'\t\t"method": "nat",\n\t\t"pulse": {\n\t\t\t"type": "tcp",\n\t\t\t"interval": "10h",\n'
        b'\t\t\t"args": null\n\t\t}\n\t},\n'
        b'\t"metrics": {\n\t\t"status": 0,\n\t\t"health": 0,\n\t\t"uptime": 0\n\t}\n}'
    )


@backends.case
def a_pulse_is_tcp_once_a_minute_by_default(gorb: Gorb) -> None:
    path = f"{gorb.with_service()}/{gorb.id('b')}"
    gorb.put(path, host="127.0.0.1", port=gorb.own_port).must_be_empty()
    reply = gorb.get(path)
    expected = {"type": "tcp", "interval": "1m", "args": None}
    reply.must_show(reply.json()["options"]["pulse"], expected, "the pulse")


@backends.case
def a_service_lists_its_backends_and_has_the_mean_of_their_health(gorb: Gorb) -> None:
    service = gorb.with_service()
    gorb.with_backend(service, "a")
    gorb.with_backend(service, "b", port=4445)
    reply = gorb.get(service)
    shown = reply.json()
    reply.must_show(sorted(shown["backends"]), [gorb.id("a"), gorb.id("b")], "backends")
    reply.must_show(shown["health"], 0, "health before a pulse")


@backends.case
def every_forwarding_method_is_known_in_any_case(gorb: Gorb) -> None:
    service = gorb.with_service()
    for number, method in enumerate((*METHODS, "NAT")):
        path = gorb.with_backend(
            service, str(number), method=method, host=f"192.0.2.{200 + number}"
        )
        reply = gorb.get(path)
        reply.must_show(reply.json()["options"]["method"], method.lower(), "the method")


@backends.case
def a_weight_that_is_not_positive_is_the_default(gorb: Gorb) -> None:
    service = gorb.with_service()
    for number, weight in enumerate((0, -5)):
        path = gorb.with_backend(service, str(number), weight=weight, port=5000 + number)
        reply = gorb.get(path)
        reply.must_show(reply.json()["options"]["weight"], 100, "the weight")


@backends.case
def a_vsid_is_shown_if_it_is_given(gorb: Gorb) -> None:
    reply = gorb.get(gorb.with_backend(gorb.with_service(), vsid="x"))
    reply.must_show(reply.json()["options"].get("vsid"), "x", "vsid")


@backends.case
def an_ipv6_service_has_ipv6_backends(gorb: Gorb) -> None:
    service = gorb.with_service(host="2001:db8::1")
    gorb.with_backend(service, host="2001:db8::2", method="dr")


@backends.case
def ids_are_global(gorb: Gorb) -> None:
    gorb.with_backend(gorb.with_service())
    other = gorb.with_service("other", port=4445)
    reply = gorb.put(f"{other}/{gorb.id('b')}", host="192.0.2.102", port=80, pulse=NO_PULSE)
    reply.must_be_error(409, EXISTS)


@backends.case
def the_service_in_the_path_counts_only_when_a_backend_is_created(gorb: Gorb) -> None:
    gorb.with_backend(gorb.with_service())
    elsewhere = f"/service/nonsense/{gorb.id('b')}"
    gorb.get(elsewhere).json()
    gorb.ask("PATCH", elsewhere, {"weight": 5}).must_be_empty()
    gorb.ask("DELETE", elsewhere).must_be_empty()


@backends.case
def a_backend_needs_its_service(gorb: Gorb) -> None:
    path = f"/service/{gorb.id('none')}/{gorb.id('b')}"
    gorb.put(path, host="192.0.2.101", port=80).must_be_error(404, UNKNOWN)


@backends.case
def one_address_twice_in_a_service_is_refused_by_ipvs(gorb: Gorb) -> None:
    service = gorb.with_service()
    gorb.with_backend(service)
    path = f"{service}/{gorb.id('twice')}"
    gorb.put(path, host="192.0.2.101", port=4444).must_be_error(500, REFUSED)
    gorb.get(path).must_be_error(404, UNKNOWN)


@backends.case
def a_backend_without_host_or_port_is_refused(gorb: Gorb) -> None:
    _refused(gorb, MISSING, host=None)
    _refused(gorb, MISSING, port=None)
    _refused(gorb, MISSING, port=0)


@backends.case
def an_unknown_forwarding_method_is_refused(gorb: Gorb) -> None:
    _refused(gorb, "specified forwarding method is unknown", method="masq")


@backends.case
def an_address_of_another_family_is_refused(gorb: Gorb) -> None:
    _refused(gorb, "incompatible address families", host="2001:db8::2")


@backends.case
def a_pulse_that_cannot_be_is_refused(gorb: Gorb) -> None:
    _refused(gorb, "specified pulse type is unknown", pulse={"type": "icmp"})
    _refused(gorb, "invalid interval format", pulse={"interval": "often"})
    _refused(gorb, "pulse interval must be positive", pulse={"interval": "0s"})


@backends.case
def a_field_of_another_type_is_refused_in_go_s_words(gorb: Gorb) -> None:
    said = "json: cannot unmarshal string into Go struct field BackendOptions.weight of type int32"
    _refused(gorb, said, weight="100")


@backends.case
def a_patch_sets_the_weight_and_0_is_one(gorb: Gorb) -> None:
    path = gorb.with_backend(gorb.with_service())
    for weight in (7, 0, 65535):
        gorb.ask("PATCH", path, {"weight": weight}).must_be_empty()
        reply = gorb.get(path)
        reply.must_show(reply.json()["options"]["weight"], weight, "the weight")


@backends.case
def a_weight_that_ipvs_refuses_changes_nothing(gorb: Gorb) -> None:
    path = gorb.with_backend(gorb.with_service())
    gorb.ask("PATCH", path, {"weight": -1}).must_be_error(500, REFUSED)
    reply = gorb.get(path)
    reply.must_show(reply.json()["options"]["weight"], 100, "the weight")


@backends.case
def a_backend_that_is_unknown_is_not_found(gorb: Gorb) -> None:
    path = f"{gorb.with_service()}/{gorb.id('none')}"
    for method, body in (("GET", b""), ("PATCH", {"weight": 1}), ("DELETE", b"")):
        gorb.ask(method, path, body).must_be_error(404, UNKNOWN)


@backends.case
def a_backend_that_was_removed_is_gone_and_its_address_is_free(gorb: Gorb) -> None:
    service = gorb.with_service()
    path = gorb.with_backend(service)
    gorb.ask("DELETE", path).must_be_empty()
    gorb.get(path).must_be_error(404, UNKNOWN)
    reply = gorb.get(service)
    reply.must_show(reply.json()["backends"], None, "backends")
    gorb.with_backend(service)


@backends.case
def a_service_takes_its_backends_with_it(gorb: Gorb) -> None:
    service = gorb.with_service()
    path = gorb.with_backend(service)
    gorb.ask("DELETE", service).must_be_empty()
    gorb.get(path).must_be_error(404, UNKNOWN)
    gorb.with_backend(gorb.with_service())
