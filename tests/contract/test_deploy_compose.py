"""docker-compose.yml and its GPU overlay: valid, closed to the outside, and in step with the code they start."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedded.binary import Binary
from embedded.options import TritonOptions, command_line
from orchestrator.settings import PREFIX, Settings

PROJECT = Path(__file__).parents[2]
COMPOSE_FILE = PROJECT / "docker-compose.yml"
GPU_FILE = PROJECT / "deploy" / "gpu.compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
GPU: dict[str, Any] = yaml.safe_load(GPU_FILE.read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]

# Where the embedded server finds its files and listens; a container has NVIDIA's own places and its own address.
PLACES = re.compile(r"--(model-repository|backend-directory|cache-directory|(http|grpc|metrics)-(address|port))=")
PINNED = re.compile(r".+:v?\d+\.\d+.*")


@pytest.mark.parametrize("path", [COMPOSE_FILE, GPU_FILE], ids=lambda path: path.name)
def test_file_is_a_valid_compose_file(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_overlay_names_only_services_that_exist() -> None:
    assert set(GPU["services"]) <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


def test_images_built_here_carry_the_projects_version() -> None:
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    built = [service["image"] for service in SERVICES.values() if "build" in service]
    assert built == [f"triptych-triton:{version}", f"triptych-orchestrator:{version}"]


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("name", SERVICES)
def test_service_restarts_and_runs_without_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc"} & set(service)


def test_every_service_but_triton_has_a_read_only_root() -> None:
    assert {name for name, service in SERVICES.items() if not service.get("read_only")} == {"triton"}


def test_only_loopback_ports_are_published() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"orchestrator", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_triton_and_the_stores_are_on_internal_networks_only() -> None:
    internal = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    for name in ("triton", "redis", "postgres"):
        assert set(SERVICES[name]["networks"]) <= internal


def test_triton_cannot_reach_the_stores() -> None:
    stores = {*SERVICES["redis"]["networks"], *SERVICES["postgres"]["networks"]}
    assert not stores & set(SERVICES["triton"]["networks"])


@pytest.mark.parametrize(("services", "profile"), [(SERVICES, ""), (GPU["services"], "gpu")], ids=["cpu", "gpu"])
def test_triton_gets_the_flags_of_the_embedded_server(services: dict[str, Any], profile: str) -> None:
    embedded = command_line(TritonOptions(repositories=(), profile=profile), Binary(Path("wheel")), Path("backends"))
    server, repository, *flags = services["triton"]["command"]
    assert (server, repository) == ("tritonserver", "--model-repository=/models")
    assert flags == [flag for flag in embedded[1:] if not PLACES.match(flag)]


def test_triton_has_shared_memory_and_a_model_repository_it_cannot_change() -> None:
    assert SERVICES["triton"]["shm_size"] == "1g"
    assert SERVICES["triton"]["volumes"] == ["./model_repository:/models:ro"]


def test_the_orchestrators_environment_is_one_it_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = SERVICES["orchestrator"]["environment"]
    assert {name.removeprefix(PREFIX).lower() for name in environment} <= set(Settings.model_fields)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.triton_address.split(":") == ["triton", str(TritonOptions(repositories=()).grpc_port)]
    assert SERVICES["orchestrator"]["ports"][0].endswith(f":{settings.port}")


def test_the_orchestrator_answers_to_the_name_that_prometheus_calls_it_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}ALLOWED_HOSTS", SERVICES["orchestrator"]["environment"][f"{PREFIX}ALLOWED_HOSTS"])
    scrapes = yaml.safe_load((PROJECT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    (target,) = next(job["static_configs"][0]["targets"] for job in scrapes if job["job_name"] == "orchestrator")
    assert target.partition(":")[0] in Settings().allowed_hosts


def test_the_orchestrator_starts_without_the_stores() -> None:
    assert set(SERVICES["orchestrator"]["depends_on"]) == {"triton"}


def test_every_secret_must_come_from_outside() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name:
                assert re.match(r"\$\{\w+:\?", value), name


def test_the_example_environment_names_every_required_variable_and_holds_no_value() -> None:
    required = set(re.findall(r"\$\{(\w+):\?", COMPOSE_FILE.read_text()))
    lines = (PROJECT / "deploy" / "example.env").read_text().splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == {f"{name}=" for name in required}


def test_every_mounted_file_of_ours_exists() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    ours = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert all((PROJECT / path).exists() for path in ours), ours


def test_redis_writes_down_what_it_acknowledges() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert "redis:/data" in SERVICES["redis"]["volumes"]
