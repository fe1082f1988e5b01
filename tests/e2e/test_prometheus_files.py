"""Prometheus' own checker reads what we give to Prometheus and to Grafana. Starts no server."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMTOOL = shutil.which("promtool")

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: apt-get install prometheus")


def test_promtool_accepts_the_scrape_configuration() -> None:
    _check("config", DEPLOY / "prometheus.yml")


def test_promtool_accepts_every_query_of_the_dashboards(tmp_path: Path) -> None:
    rules = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(_queries())]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    _check("rules", file)


def _queries() -> list[str]:
    panels = [
        panel
        for path in (DEPLOY / "grafana" / "dashboards").glob("*.json")
        for panel in json.loads(path.read_text())["panels"]
    ]
    # Grafana puts its own interval in before it asks.
    return [target["expr"].replace("$__rate_interval", "1m") for panel in panels for target in panel["targets"]]


def _check(kind: str, path: Path) -> None:
    checked = subprocess.run([str(PROMTOOL), "check", kind, path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
