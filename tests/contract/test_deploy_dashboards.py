"""Prometheus' targets and Grafana's dashboards: every name they use is one that somebody exposes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.metrics import Metrics

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy"
SERVICES: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]
SCRAPES: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
PROVISIONING = DEPLOY / "grafana" / "provisioning"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))

# From "Metrics" in NVIDIA's user guide; only what a server without further flags exposes.
TRITON_METRICS = {
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_pending_request_count",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
    "nv_cache_num_hits_per_model",
    "nv_cache_num_misses_per_model",
    "nv_cache_hit_duration_per_model",
    "nv_cache_miss_duration_per_model",
    "nv_cpu_utilization",
    "nv_cpu_memory_total_bytes",
    "nv_cpu_memory_used_bytes",
    "nv_gpu_utilization",
    "nv_gpu_memory_total_bytes",
    "nv_gpu_memory_used_bytes",
    "nv_gpu_power_usage",
    "nv_gpu_power_limit",
    "nv_energy_consumption",
}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


each_dashboard = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def test_there_is_a_dashboard() -> None:
    assert DASHBOARDS


@each_dashboard
def test_every_metric_that_is_asked_for_exists(path: Path) -> None:
    asked = {name for expression in _expressions(path) for name in _metrics(expression)}
    assert asked
    assert asked - TRITON_METRICS - _orchestrator_metrics() == {"up"}


@each_dashboard
def test_panels_have_distinct_ids_and_do_not_overlap(path: Path) -> None:
    panels = json.loads(path.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in _cells(panel["gridPos"])]
    assert len(cells) == len(set(cells))


@each_dashboard
def test_dashboard_uses_the_provisioned_data_source(path: Path) -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    used = {target["datasource"]["uid"] for target in _targets(path)}
    assert used == {source["uid"]}


def test_the_data_source_is_our_prometheus_at_the_pace_it_scrapes() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert set(SERVICES["grafana"]["networks"]) & set(SERVICES["prometheus"]["networks"])
    assert source["jsonData"]["timeInterval"] == SCRAPES["global"]["scrape_interval"]


def test_grafana_looks_for_dashboards_where_they_are_mounted() -> None:
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "triptych.yml").read_text())["providers"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


def test_prometheus_scrapes_both_servers_over_a_network_they_share() -> None:
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in SCRAPES["scrape_configs"]}
    assert targets["triton"] == ["triton:8002"]
    assert targets["orchestrator"] == ["orchestrator:8080"]
    for server in ("triton", "orchestrator"):
        assert set(SERVICES[server]["networks"]) & set(SERVICES["prometheus"]["networks"])


def _targets(path: Path) -> list[dict[str, Any]]:
    return [target for panel in json.loads(path.read_text())["panels"] for target in panel["targets"]]


def _expressions(path: Path) -> list[str]:
    return [target["expr"] for target in _targets(path)]


def _metrics(expression: str) -> list[str]:
    """Metric names in a query; what stands in braces are labels."""
    return re.findall(r"\b(?:up|(?:nv|triptych|process)_\w+)\b", re.sub(r"\{[^}]*\}", "", expression))


def _orchestrator_metrics() -> set[str]:
    families = Metrics().registry.collect()
    return {f"{family.name}{suffix}" for family in families for suffix in SUFFIXES[family.type]}


def _cells(place: dict[str, int]) -> list[tuple[int, int]]:
    columns = range(place["x"], place["x"] + place["w"])
    return [(column, row) for column in columns for row in range(place["y"], place["y"] + place["h"])]
