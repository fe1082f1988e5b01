"""What is counted, and under which names. Labels are route templates and model names, never what a client sent."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from modelcore.errors import TriptychError

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One registry per app, so that two apps in one process (as in the tests) do not share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "triptych_http_requests_total",
            "Requests answered, by method, route template and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "triptych_http_request_duration_seconds",
            "Time from a request's headers to the end of its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.upstream_seconds = Histogram(
            "triptych_upstream_call_duration_seconds",
            "Time of one call to Triton that was answered, by model.",
            ("model",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.upstream_errors = Counter(
            "triptych_upstream_errors_total",
            "Calls to Triton that failed, by model and error code.",
            ("model", "code"),
            registry=self.registry,
        )
        self.repairs = Counter(
            "triptych_watchdog_repairs_total",
            "What the watchdog did, by model and action. The model is 'triton' for the server as a whole.",
            ("model", "action"),
            registry=self.registry,
        )
        self.cache_lookups = Counter(
            "triptych_cache_lookups_total",
            "Look-ups in the caches of what is known of pictures and words, by cache and outcome: hit, miss, or joined "
            "where another request was making the same already.",
            ("cache", "outcome"),
            registry=self.registry,
        )
        self.cache_bytes = Gauge(
            "triptych_cache_bytes",
            "How much each of these caches holds.",
            ("cache",),
            registry=self.registry,
        )
        self.models_ready = Gauge(
            "triptych_models_ready",
            "How many models of the catalog Triton has ready.",
            registry=self.registry,
        )

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def answered(self, model: str, seconds: float) -> None:
        self.upstream_seconds.labels(model).observe(seconds)

    def failed(self, model: str, error: TriptychError) -> None:
        self.upstream_errors.labels(model, error.code).inc()

    def looked_up(self, cache: str, outcome: str) -> None:
        self.cache_lookups.labels(cache, outcome).inc()

    def holds(self, cache: str, size_bytes: int) -> None:
        self.cache_bytes.labels(cache).set(size_bytes)

    def repaired(self, model: str, action: str) -> None:
        self.repairs.labels(model, action).inc()
