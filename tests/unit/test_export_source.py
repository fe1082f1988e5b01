"""Where weights come from, without a network: folders, the hub's cache layout offline, a hub on loopback."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from export.source import locate
from export.weights import check_network_folder, check_safetensors
from modelcore.errors import SetupProblem
from modelcore.family import Part

REVISION = "0123456789abcdef0123456789abcdef01234567"
CLIP = frozenset({"CLIPModel"})
# huggingface_hub reads its environment once, at import: each case needs a process of its own.
LOCATE = f"""
import sys, time
time.sleep = lambda seconds: None  # the client's patience between its tries is not what is tested
from export.source import locate
from modelcore.errors import SetupProblem
from modelcore.family import HubSource, Part
try:
    source = HubSource("owner/weights", "{REVISION}", gated="gated" in sys.argv)
    print(locate(Part("clip", source, "", "MIT"), [""]))
except SetupProblem as problem:
    print("refused:", problem.detail)
"""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "config.json").write_text('{"architectures": ["CLIPModel"]}')
    save_file({"a": torch.zeros(3), "b": torch.ones(2, 2)}, folder / "model.safetensors")
    return folder


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers everything with one status, in the hub's own words."""

    status, error_code = 404, "RepoNotFound"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("X-Error-Code", self.error_code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def locate_on_hub(tmp_path: Path, *arguments: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    answer = subprocess.run(
        [sys.executable, "-c", LOCATE, *arguments],
        env=inherited | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.strip()


def put_in_cache(tmp_path: Path, weights: Path) -> Path:
    """The layout of the hub's cache: blobs, and a snapshot of links to them."""
    repository = tmp_path / "hf" / "hub" / "models--owner--weights"
    snapshot = repository / "snapshots" / REVISION
    (repository / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for index, path in enumerate(sorted(weights.iterdir())):
        blob = repository / "blobs" / f"{index:040x}"
        path.rename(blob)
        (snapshot / path.name).symlink_to(Path("..", "..", "blobs", blob.name))
    return snapshot


def test_a_folder_is_used_as_it_is(weights: Path) -> None:
    assert locate(Part("clip", weights.parent, "weights", "MIT"), [""]) == weights


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match=r"part clip: no such folder: .*gone"):
        locate(Part("clip", tmp_path / "gone", "", "MIT"), [""])


def test_the_hubs_cache_serves_without_a_network(tmp_path: Path, weights: Path) -> None:
    snapshot = put_in_cache(tmp_path, weights)
    assert locate_on_hub(tmp_path, HF_HUB_OFFLINE="1") == str(snapshot)
    check_network_folder(snapshot, CLIP)


def test_what_is_not_in_the_cache_needs_a_network(tmp_path: Path) -> None:
    answer = locate_on_hub(tmp_path, HF_HUB_OFFLINE="1")
    assert answer.startswith("refused: part clip: owner/weights at 0123456789ab is not in the hub's cache")
    assert len(answer.splitlines()) == 1


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    # Port 1 of loopback: nobody listens, the refusal comes at once.
    assert "the hub cannot be reached" in locate_on_hub(tmp_path, HF_ENDPOINT="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("status", "error_code", "arguments", "reason"),
    [
        (403, "GatedRepo", ["gated"], "is gated: accept its licence on https://huggingface.co/owner/weights"),
        (401, "GatedRepo", ["gated"], "in HF_TOKEN or by `hf auth login`"),
        (401, "RepoNotFound", [], "is refused (401)"),
        (404, "RepoNotFound", [], "no such repository, revision or file"),
        (404, "RevisionNotFound", [], "no such repository, revision or file"),
        (500, "", [], "the hub answered 500"),
    ],
)
def test_a_refusal_is_explained(
    tmp_path: Path,
    hub: str,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    error_code: str,
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.setattr(Hub, "status", status)
    monkeypatch.setattr(Hub, "error_code", error_code)
    answer = locate_on_hub(tmp_path, *arguments, HF_ENDPOINT=hub)
    assert reason in answer
    assert len(answer.splitlines()) == 1
    assert not list((tmp_path / "hf").rglob("*.safetensors"))


def test_whole_weights_of_the_right_class_are_accepted(weights: Path) -> None:
    check_network_folder(weights, CLIP)


def test_a_diffusers_class_is_read_too(weights: Path) -> None:
    (weights / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    check_network_folder(weights, frozenset({"AutoencoderKL"}))


@pytest.mark.parametrize("missing_bytes", [1, 12, 40])
def test_truncated_weights_are_refused_before_loading(weights: Path, missing_bytes: int) -> None:
    path = weights / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-missing_bytes])
    with pytest.raises(SetupProblem, match="cut off"):
        check_network_folder(weights, CLIP)


@pytest.mark.parametrize("length", [0, 5, 8, 20])
def test_weights_cut_off_in_their_header_are_refused(weights: Path, length: int) -> None:
    path = weights / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(SetupProblem, match="no safetensors file"):
        check_safetensors(path)


def test_bytes_that_only_look_like_a_header_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes((4).to_bytes(8, "little") + b"[42]")
    with pytest.raises(SetupProblem, match="header cannot be read"):
        check_safetensors(tmp_path / "x.safetensors")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_in_disguise_is_refused(weights: Path, zipped: bool) -> None:
    torch.save({"a": torch.zeros(3)}, weights / "model.safetensors", _use_new_zipfile_serialization=zipped)
    with pytest.raises(SetupProblem, match="is a pickle under a safetensors name"):
        check_network_folder(weights, CLIP)


def test_weights_that_are_only_a_pickle_are_refused(weights: Path) -> None:
    (weights / "model.safetensors").rename(weights / "pytorch_model.bin")
    with pytest.raises(SetupProblem, match=r"only as a pickle \(pytorch_model\.bin\)"):
        check_network_folder(weights, CLIP)


def test_another_precision_does_not_stand_in_for_the_weights(weights: Path) -> None:
    (weights / "model.safetensors").rename(weights / "model.fp16.safetensors")
    with pytest.raises(SetupProblem, match="has no weights"):
        check_network_folder(weights, CLIP)


def test_a_missing_config_is_named(weights: Path) -> None:
    (weights / "config.json").unlink()
    with pytest.raises(SetupProblem, match=r"config\.json is missing"):
        check_network_folder(weights, CLIP)


def test_a_network_of_another_class_is_named(weights: Path) -> None:
    with pytest.raises(SetupProblem, match="describes CLIPModel; T5EncoderModel is needed here"):
        check_network_folder(weights, frozenset({"T5EncoderModel"}))


def write_index(weights: Path, *shards: str) -> None:
    weight_map = {f"tensor{number}": shard for number, shard in enumerate(shards)}
    (weights / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def test_sharded_weights_are_accepted(weights: Path) -> None:
    (weights / "model.safetensors").rename(weights / "model-00001-of-00001.safetensors")
    write_index(weights, "model-00001-of-00001.safetensors")
    check_network_folder(weights, CLIP)


@pytest.mark.parametrize("shard", ["model-00002-of-00002.safetensors", "../weights/model.safetensors"])
def test_a_shard_that_is_missing_or_elsewhere_is_refused(weights: Path, shard: str) -> None:
    write_index(weights, "model.safetensors", shard)
    with pytest.raises(SetupProblem, match="is missing"):
        check_network_folder(weights, CLIP)
