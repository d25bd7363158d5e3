"""``/metrics`` for Prometheus, under the original's names.

The uptime is in seconds, as its name says; the original shows a billionth of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labwright.components.gorb.registry import Backend, Registry, Service

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SERVICE_LABELS = ("name", "host", "port", "protocol")
BACKEND_LABELS = ("service_name", "name", "host", "port")


def exposition(registry: Registry) -> bytes:
    """Return the state of a registry in Prometheus' text format."""
    collectors = CollectorRegistry()
    collectors.register(_Collector(registry))
    return generate_latest(collectors)


class _Collector:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[GaugeMetricFamily]:
        health = _gauge("service_health", "Health of the load balancer service", SERVICE_LABELS)
        backends = _gauge(
            "service_backends", "Number of backends in the load balancer service", SERVICE_LABELS
        )
        of_backends = (
            _gauge("service_backend_uptime_seconds", "Uptime in seconds of a backend service"),
            _gauge("service_backend_health", "Health of a backend service"),
            _gauge("service_backend_status", "Status of a backend service"),
            _gauge("service_backend_weight", "Weight of a backend service"),
        )
        for service in self._registry.services:
            labels = _service_labels(service)
            health.add_metric(labels, service.health)
            backends.add_metric(labels, len(service.backends))
            for backend in service.backends.values():
                for gauge, value in zip(of_backends, _values(backend), strict=True):
                    gauge.add_metric(_backend_labels(backend), value)
        return health, backends, *of_backends


def _gauge(name: str, text: str, labels: tuple[str, ...] = BACKEND_LABELS) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"gorb_{name}", text, labels=labels)


def _service_labels(service: Service) -> list[str]:
    options = service.options
    return [service.id, options.host, str(options.port), options.protocol]


def _backend_labels(backend: Backend) -> list[str]:
    options = backend.options
    return [backend.service.id, backend.id, options.host, str(options.port)]


def _values(backend: Backend) -> tuple[float, float, int, int]:
    health = backend.health
    return health.uptime_s, health.health, health.status.value, backend.weight
