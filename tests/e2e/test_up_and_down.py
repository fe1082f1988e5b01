"""`make run` and `triptych up`, as a person uses them at a terminal."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.triptych_process import PROJECT, TriptychProcess, free_addresses, running_triptych

pytestmark = pytest.mark.triton


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "triptych", *arguments]
    return subprocess.run(
        command, env=os.environ | environment, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60
    )


def ours(triptych: TriptychProcess) -> set[int]:
    """Every living process that has this Triptych's own port or state folder on its command line or environment."""
    port = triptych.addresses.triton_grpc.rpartition(":")[2]
    marks = (f"--grpc-port={port}", str(triptych.state))
    return {
        process.pid
        for process in psutil.process_iter()
        if any(mark in argument for argument in command_line(process) for mark in marks)
    }


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def test_make_run_prints_a_curl_that_answers_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    addresses = free_addresses()
    arguments = " ".join([*addresses.arguments, f"--state={tmp_path}"])
    triptych = TriptychProcess(["make", "run", f"ARGS={arguments}"], tmp_path, addresses)
    try:
        triptych.wait_for_line("Ctrl-C stops it")
        (curl,) = re.findall(r"^ *(curl .*)$", triptych.output, re.MULTILINE)
        answer = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True, timeout=30)
        assert len(json.loads(answer.stdout)["data"][0]["embedding"]) > 0
    finally:
        triptych.interrupt()
    assert "stopping" in triptych.output
    assert "Traceback" not in triptych.output
    assert ours(triptych) == set()


def test_the_command_that_is_printed_paints(triptych_process: TriptychProcess, tmp_path: Path) -> None:
    (printed,) = re.findall(r"^ *(/.* generate .*)$", triptych_process.output, re.MULTILINE)
    ran = subprocess.run(printed, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_the_readme_shows_the_curl_that_is_printed(triptych_process: TriptychProcess) -> None:
    (printed,) = re.findall(r"^ *(curl .*)$", triptych_process.output, re.MULTILINE)
    printed = printed.replace(triptych_process.addresses.rest, "127.0.0.1:8080")
    assert printed in (PROJECT / "README.md").read_text()


def test_every_make_target_of_the_readme_exists() -> None:
    targets = re.findall(r"^ {4}make ([a-z]+)", (PROJECT / "README.md").read_text(), re.MULTILINE)
    assert targets
    for target in targets:
        subprocess.run(["make", "--dry-run", target], cwd=PROJECT, capture_output=True, check=True, timeout=60)


def test_a_second_start_says_who_runs_already(triptych_process: TriptychProcess) -> None:
    second = run("up", f"--state={triptych_process.state}")
    assert second.returncode == 1
    assert f"already runs here as process {triptych_process.process.pid}" in second.stderr


def test_a_busy_port_is_one_clear_line(triptych_process: TriptychProcess, tmp_path: Path) -> None:
    busy = triptych_process.addresses.arguments
    refused = run("up", *busy, f"--state={tmp_path}")
    port = triptych_process.addresses.rest.rpartition(":")[2]
    assert refused.returncode == 1
    assert re.search(rf"port {port} \(REST\) is taken by process \d+", refused.stderr)
    assert "Traceback" not in refused.stderr


def test_a_bad_setting_is_one_clear_line(tmp_path: Path) -> None:
    refused = run("up", f"--state={tmp_path}", TRIPTYCH_HOST="0.0.0.0")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "refusing to listen on 0.0.0.0" in refused.stderr


@pytest.mark.parametrize("state", ["/proc/nope", "/tmp/" + "x" * 120])
def test_an_impossible_state_folder_is_one_clear_line(state: str) -> None:
    refused = run("up", f"--state={state}")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "choose another with --state" in refused.stderr


def test_an_unknown_family_is_one_clear_line(tmp_path: Path) -> None:
    refused = run("up", f"--state={tmp_path}", TRIPTYCH_FAMILY="nosuch")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "families/nosuch/family.toml does not exist" in refused.stderr


def test_down_stops_everything(tmp_path: Path) -> None:
    with running_triptych(tmp_path) as triptych:
        assert ours(triptych)
        assert run("down", f"--state={tmp_path}").stdout == "stopped\n"
        triptych.process.wait(30)
        assert ours(triptych) == set()
        assert run("down", f"--state={tmp_path}").stdout == "nothing runs from this clone\n"


def test_a_killed_rest_service_comes_back(tmp_path: Path) -> None:
    with running_triptych(tmp_path) as triptych:
        launcher = psutil.Process(triptych.process.pid)
        (rest,) = (child for child in launcher.children() if "orchestrator" in child.cmdline())
        rest.send_signal(signal.SIGKILL)
        triptych.wait_for_line("the REST service ended with status -9")
        triptych.wait_for_line("the REST service is back")


def test_a_rest_service_that_hangs_is_killed_and_comes_back(tmp_path: Path) -> None:
    with running_triptych(tmp_path) as triptych:
        launcher = psutil.Process(triptych.process.pid)
        (rest,) = (child for child in launcher.children() if "orchestrator" in child.cmdline())
        rest.send_signal(signal.SIGSTOP)
        triptych.wait_for_line("the REST service has not answered 3 times in a row")
        triptych.wait_for_line("the REST service is back")


def test_a_killed_launcher_leaves_no_process(tmp_path: Path) -> None:
    with running_triptych(tmp_path) as triptych:
        family = psutil.Process(triptych.process.pid).children(recursive=True)
        triptych.process.kill()
        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []


def test_help_names_every_command() -> None:
    shown = run("--help").stdout
    for command in ("up", "down", "doctor", "models", "export", "triton"):
        assert re.search(rf"^ +{command} ", shown, re.MULTILINE), command


def test_models_lists_the_catalog_with_live_state(triptych_process: TriptychProcess) -> None:
    port = triptych_process.addresses.triton_http.rpartition(":")[2]
    listed = run("models", f"--triton-http-port={port}").stdout
    assert re.search(r"^clip_image_bytes +ready ", listed, re.MULTILINE)
