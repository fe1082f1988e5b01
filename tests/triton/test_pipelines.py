"""A family's two pipelines in the real Triton, as clients of gRPC and HTTP meet them."""

import io
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from embedded.server import TritonServer
from modelcore.diffusion.scheduler_names import SCHEDULERS
from modelcore.images import encode_png
from tests.served_family import Stream, ask_once, copy_demo_family, inputs, metric
from tests.triton.conftest import client_of, eventually, free_options

PROJECT = Path(__file__).parents[2]
READY_TIMEOUT_S = 120.0
WISHES: dict[str, Any] = {"prompt": b"a red circle", "steps": 4, "seed": 7}
MANY_STEPS = 100
PICTURE = encode_png(Image.new("RGB", (64, 64), "red"))

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server(embedded_binary: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """Two families side by side: demo, and `other-one` with the same weights."""
    repository = tmp_path_factory.mktemp("families")
    for name in ("demo", "other-one"):
        copy_demo_family(repository, name)
    made = TritonServer(free_options(repository), tmp_path_factory.mktemp("log") / "triton.log")
    try:
        made.start()
        made.wait_ready(READY_TIMEOUT_S)
        yield made
    finally:
        made.stop()


@pytest.fixture
def grpc_address(server: TritonServer) -> str:
    return f"127.0.0.1:{server.options.grpc_port}"


@pytest.fixture
def http_address(server: TritonServer) -> str:
    return f"127.0.0.1:{server.options.http_port}"


@pytest.fixture
def metrics_address(server: TritonServer) -> str:
    return f"127.0.0.1:{server.options.metrics_port}"


def unet_calls(metrics_address: str) -> float:
    return metric(metrics_address, "nv_inference_exec_count", "demo_unet")


def rows_in_flight(metrics_address: str) -> float:
    return metric(metrics_address, "triptych_diffusion_rows_in_flight", "demo")


def rows_and_calls(metrics_address: str) -> tuple[float, float]:
    name = "triptych_diffusion_rows_per_call"
    return metric(metrics_address, f"{name}_sum", "demo"), metric(metrics_address, f"{name}_count", "demo")


def test_a_stream_tells_of_every_step_and_ends_in_the_picture(grpc_address: str) -> None:
    stream = Stream(grpc_address, "demo", WISHES).run()
    *steps, finished = stream.events
    assert [(event["step"][0], event["steps"][0]) for event in steps] == [(step, 4) for step in range(1, 5)]
    assert Image.open(io.BytesIO(finished["image"][0])).size == (128, 128)
    assert (finished["seed"][0], json.loads(finished["info"][0])["model"]) == (7, "demo")


def test_previews_come_as_often_as_asked(grpc_address: str) -> None:
    stream = Stream(grpc_address, "demo", {**WISHES, "preview_every": 2}).run()
    assert [event["step"][0] for event in stream.events if "preview" in event] == [2]
    preview = next(event["preview"][0] for event in stream.events if "preview" in event)
    Image.open(io.BytesIO(preview)).load()


@pytest.mark.parametrize("over_http", [False, True], ids=["grpc", "http"])
def test_one_answer_holds_the_very_pictures_of_the_stream(
    grpc_address: str, http_address: str, over_http: bool
) -> None:
    wishes = {**WISHES, "num_images": 2}
    answer = ask_once(http_address if over_http else grpc_address, "demo", wishes, over_http=over_http)
    streamed = Stream(grpc_address, "demo", wishes).run()
    assert sorted(answer.as_numpy("image").tolist()) == sorted(streamed.images)
    assert answer.as_numpy("seed").tolist() == [7, 8]


def test_single_answers_do_not_wait_for_each_other(grpc_address: str, metrics_address: str) -> None:
    before = rows_and_calls(metrics_address)
    threads = [
        threading.Thread(target=ask_once, args=(grpc_address, "demo", {**WISHES, "seed": seed, "steps": 30}))
        for seed in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Told right after the answers.
    assert eventually(lambda: rows_and_calls(metrics_address)[0] == before[0] + 6 * 30)
    assert 6 * 30 / (rows_and_calls(metrics_address)[1] - before[1]) > 2


@pytest.mark.parametrize(
    ("wish", "value", "says"),
    [
        ("steps", 0, "steps must be between 1 and 100: 0"),
        ("steps", 10**9, "steps must be between 1 and 100: 1000000000"),
        ("guidance_scale", float("nan"), "guidance_scale must be a finite number: nan"),
        ("width", 513, "width must be a multiple of 8 between 64 and 256: 513"),
        ("scheduler", b"magic", "scheduler must be one of ddim, "),
        ("prompt", b"", "prompt must not be empty"),
        ("prompt", b"a" * 1_000_000, "prompt may have 8192 bytes: 1000000"),
        ("init_image", b"no picture", "init_image: the picture must be PNG, JPEG or WebP"),
        ("init_image", PICTURE[:-20], "init_image: the picture is damaged"),
        ("mask_image", PICTURE, "mask_image"),
    ],
)
def test_bad_input_is_refused_by_field_and_limit(
    grpc_address: str, http_address: str, wish: str, value: object, says: str
) -> None:
    wishes = {**WISHES, wish: value}
    stream = Stream(grpc_address, "demo", wishes).run()
    with pytest.raises(InferenceServerException) as over_grpc:
        ask_once(grpc_address, "demo", wishes)
    with pytest.raises(InferenceServerException) as over_http:
        ask_once(http_address, "demo", wishes, over_http=True)
    assert over_grpc.value.status() == "StatusCode.INVALID_ARGUMENT"
    for error in (stream.error, over_grpc.value, over_http.value):
        assert says in error.message()
        assert "Traceback" not in error.message()


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (encode_png(Image.new("RGB", (64, 32))), "mask_image must be as large as init_image, 64 x 64 pixels: 64 x 32"),
        (b"no picture", "mask_image: the picture must be PNG, JPEG or WebP"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(grpc_address: str, mask: bytes, says: str) -> None:
    wishes = {**WISHES, "init_image": PICTURE, "mask_image": mask}
    with pytest.raises(InferenceServerException) as over_grpc:
        ask_once(grpc_address, "demo", wishes)
    assert over_grpc.value.status() == "StatusCode.INVALID_ARGUMENT"
    for error in (over_grpc.value, Stream(grpc_address, "demo", wishes).run().error):
        assert error.message().startswith(says)
        assert error.message().endswith(" mask_image]")


def test_a_tensor_of_the_wrong_shape_is_refused(grpc_address: str) -> None:
    """By Triton itself, before we hear of it; in a stream such a refusal has no status."""
    wishes = {**WISHES, "steps": [4, 5]}
    with pytest.raises(InferenceServerException) as caught:
        ask_once(grpc_address, "demo", wishes)
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    for error in (caught.value, Stream(grpc_address, "demo", wishes).run().error):
        assert "unexpected shape for input 'steps'" in error.message()


def test_a_family_that_is_not_there_is_not_found(grpc_address: str, http_address: str) -> None:
    with pytest.raises(InferenceServerException) as over_grpc:
        ask_once(grpc_address, "nobody", WISHES)
    with pytest.raises(InferenceServerException) as over_http:
        ask_once(http_address, "nobody", WISHES, over_http=True)
    assert (over_grpc.value.status(), over_http.value.status()) == ("StatusCode.NOT_FOUND", "404")


def test_two_families_paint_side_by_side(grpc_address: str) -> None:
    streams = [Stream(grpc_address, family, WISHES) for family in ("demo", "other-one")]
    threads = [threading.Thread(target=stream.run) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [json.loads(stream.events[-1]["info"][0])["model"] for stream in streams]
    pixels = [Image.open(io.BytesIO(stream.images[0])).tobytes() for stream in streams]
    assert names == ["demo", "other-one"]
    assert pixels[0] == pixels[1]


def test_a_cancelled_stream_stops_its_row(grpc_address: str, metrics_address: str) -> None:
    before = unet_calls(metrics_address)

    def leave(stream: Stream) -> None:
        if len(stream.events) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stream(grpc_address, "demo", {**WISHES, "steps": MANY_STEPS}).run(leave)
    assert eventually(lambda: rows_in_flight(metrics_address) == 0)
    assert unet_calls(metrics_address) - before < MANY_STEPS / 2


def test_a_cancelled_single_answer_stops_its_row(grpc_address: str, metrics_address: str) -> None:
    before, cancelled = unet_calls(metrics_address), "triptych_diffusion_cancelled_total"
    count = metric(metrics_address, cancelled, "demo")
    with triton.InferenceServerClient(grpc_address) as client:
        given = inputs("demo", {**WISHES, "steps": MANY_STEPS})
        call = client.async_infer("demo_image", given, callback=lambda result, error: None)
        assert eventually(lambda: unet_calls(metrics_address) > before)
        call.cancel()
        assert eventually(lambda: metric(metrics_address, cancelled, "demo") == count + 1)
    assert unet_calls(metrics_address) - before < MANY_STEPS


def test_a_client_of_http_cancels_by_its_token(http_address: str, metrics_address: str) -> None:
    before = unet_calls(metrics_address)
    wishes = {**WISHES, "steps": MANY_STEPS, "cancel_token": b"mine"}
    refused: list[str] = []

    def ask() -> None:
        try:
            ask_once(http_address, "demo", wishes, over_http=True)
        except InferenceServerException as error:
            refused.append(error.message())

    thread = threading.Thread(target=ask)
    thread.start()
    assert eventually(lambda: unet_calls(metrics_address) > before)
    ask_once(http_address, "demo", {"prompt": b"-", "cancel": b"mine"}, over_http=True)
    thread.join()
    assert refused == ["the request was cancelled [unavailable]"]
    assert unet_calls(metrics_address) - before < MANY_STEPS


def test_the_command_writes_the_very_picture(grpc_address: str, tmp_path: Path) -> None:
    port = grpc_address.rpartition(":")[2]
    options = ["--family", "demo", "--steps", "4", "--seed", "7", "--triton-grpc-port", port]
    ran = _triptych(tmp_path, "generate", "a red circle", "-o", "out.png", *options)
    assert (ran.returncode, ran.stdout) == (0, "out.png (seed 7)\n"), ran.stderr
    assert (tmp_path / "out.png").read_bytes() == Stream(grpc_address, "demo", WISHES).run().images[0]


def test_the_command_says_what_is_wrong_in_one_line(grpc_address: str, tmp_path: Path) -> None:
    port = grpc_address.rpartition(":")[2]
    ran = _triptych(tmp_path, "generate", "x", "--family", "demo", "--steps", "0", "--triton-grpc-port", port)
    assert (ran.returncode, ran.stderr) == (1, "triptych: steps must be between 1 and 100: 0\n")
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_which_words_were_not_read(grpc_address: str, tmp_path: Path) -> None:
    port, prompt = grpc_address.rpartition(":")[2], "red circle " * 150
    ran = _triptych(tmp_path, "generate", prompt, "--steps", "1", "--num-images", "2", "--triton-grpc-port", port)
    assert ran.returncode == 0
    (line,) = ran.stderr.splitlines()
    assert line.startswith("triptych: prompt: ")
    assert "did not read" in line


def test_the_command_says_why_a_file_cannot_be_written(grpc_address: str, tmp_path: Path) -> None:
    (tmp_path / "out.png").mkdir()
    port = grpc_address.rpartition(":")[2]
    ran = _triptych(tmp_path, "generate", "x", "--steps", "1", "--triton-grpc-port", port)
    assert (ran.returncode, ran.stderr) == (1, "triptych: out.png cannot be written: Is a directory\n")


def test_the_command_names_a_family_that_is_not_served(grpc_address: str, tmp_path: Path) -> None:
    port = grpc_address.rpartition(":")[2]
    ran = _triptych(tmp_path, "generate", "x", "--family", "nobody", "--triton-grpc-port", port)
    assert ran.returncode == 1
    assert f"triptych: Triton at {grpc_address} serves no family 'nobody': " in ran.stderr


def test_models_tells_of_families_beside_the_catalog(http_address: str, tmp_path: Path) -> None:
    ran = _triptych(tmp_path, "models", "--triton-http-port", http_address.rpartition(":")[2])
    assert re.search(r"^other-one_image +ready ", ran.stdout, re.MULTILINE)


def test_the_commands_help_names_every_scheduler(tmp_path: Path) -> None:
    shown = _triptych(tmp_path, "generate", "--help").stdout
    assert set(SCHEDULERS) <= set(re.findall(r"\w+", shown))


def test_ctrl_c_ends_the_command_and_the_painting(grpc_address: str, metrics_address: str, tmp_path: Path) -> None:
    before, port = unet_calls(metrics_address), grpc_address.rpartition(":")[2]
    arguments = ["generate", "x", "--family", "demo", "--steps", str(MANY_STEPS), "--num-images", "4"]
    command = [sys.executable, "-m", "triptych", *arguments, "--triton-grpc-port", port]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert eventually(lambda: unet_calls(metrics_address) > before)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, "")
    assert eventually(lambda: rows_in_flight(metrics_address) == 0)
    assert unet_calls(metrics_address) - before < MANY_STEPS


@pytest.mark.parametrize("example", sorted((PROJECT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_the_example_paints(example: Path, grpc_address: str, http_address: str, tmp_path: Path) -> None:
    script = example.read_text().replace("127.0.0.1:8001", grpc_address).replace("127.0.0.1:8000", http_address)
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert Image.open(io.BytesIO((tmp_path / f"{example.stem}.png").read_bytes())).size == (128, 128)


def test_the_readme_script_paints(grpc_address: str, tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    script = script.replace("127.0.0.1:8001", grpc_address)
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert Image.open(io.BytesIO((tmp_path / "circle.png").read_bytes())).size == (128, 128)


def test_a_dead_network_is_named_and_a_load_brings_it_back(server: TritonServer, grpc_address: str) -> None:
    """Last but one: the families are whole again afterwards."""
    server.kill_stub("demo_unet")
    stream = Stream(grpc_address, "demo", WISHES).run()
    assert stream.error.message().endswith("[model_unavailable demo_unet]")
    with pytest.raises(InferenceServerException) as over_http:
        ask_once(f"127.0.0.1:{server.options.http_port}", "demo", WISHES, over_http=True)
    assert over_http.value.status() == "503"
    with client_of(server) as client:
        client.load_model("demo_unet")
    assert len(Stream(grpc_address, "demo", WISHES).run().images) == 1


def test_stopping_with_pictures_in_work_leaves_nobody_waiting(server: TritonServer, grpc_address: str) -> None:
    """Last of all."""
    wishes = {**WISHES, "steps": MANY_STEPS, "num_images": 4}
    begun = threading.Event()
    stream = Stream(grpc_address, "demo", wishes)
    thread = threading.Thread(target=stream.run, args=(lambda _stream: begun.set(),))
    thread.start()
    assert begun.wait(60)
    server.stop()
    thread.join(60)
    assert not thread.is_alive()


def _triptych(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "triptych", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
