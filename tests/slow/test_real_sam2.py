"""SAM2.1 base plus at its real size, from its configuration with random weights. docs/log.md has what was measured."""

import resource
import time
from pathlib import Path

import pytest

from export.network import export_network
from export.parity import MAX_RELATIVE_ERROR
from export.sam2 import BUILDERS
from export.sam2.meta_sizes import SIZES, size_config
from tests.small_sam2 import random_sam2

MAX_MEMORY_GB = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def base_plus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (size,) = (size for size in SIZES if size.name == "base plus")
    folder = tmp_path_factory.mktemp("base_plus")
    random_sam2(size_config(size)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", BUILDERS)
def test_base_plus_exports_within_memory_and_equals_its_source(base_plus: Path, tmp_path: Path, name: str) -> None:
    started, cpu_started = time.monotonic(), time.process_time()
    errors = export_network(name, BUILDERS[name](base_plus), tmp_path / "model.onnx")
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    size_mb = sum(path.stat().st_size for path in tmp_path.iterdir()) / 1e6
    took = f"{time.monotonic() - started:.0f} s, {time.process_time() - cpu_started:.0f} s of CPU"
    print(f"{name}: {took}, peak {peak_gb:.1f} GB, {size_mb:.0f} MB, {errors}")  # noqa: T201
    assert max(errors.values()) <= MAX_RELATIVE_ERROR
    assert peak_gb < MAX_MEMORY_GB
