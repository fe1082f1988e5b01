"""Real sizes go through export as small ones do: within 20 GB of memory, into two files at most."""

from pathlib import Path

import pytest

from export.parity import MAX_RELATIVE_ERROR
from tests.slow.real_sizes import NETWORKS, measure

MAX_MEMORY_BYTES = 20 * 1024**3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_real_size_exports_within_memory(name: str, tmp_path: Path) -> None:
    measured = measure(name, tmp_path)
    assert measured.worst_error <= MAX_RELATIVE_ERROR
    assert measured.peak_bytes < MAX_MEMORY_BYTES
    assert set(measured.files) <= {"model.onnx", "model.onnx.data"}
