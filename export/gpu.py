"""Which GPU is here, asked of NVIDIA's driver itself: neither torch nor TensorRT has to be there to answer."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelcore.errors import SetupProblem

_DRIVER = "libcuda.so.1"
# CUdevice_attribute: compute capability, major and minor.
_MAJOR, _MINOR = 75, 76
_NAME_BYTES = 128


@dataclass(frozen=True)
class Gpu:
    name: str
    architecture: str  # sm_90


def find_gpu(load: Callable[[str], Any] = ctypes.CDLL) -> Gpu:
    """The first that CUDA_VISIBLE_DEVICES leaves visible, which is the one TensorRT builds for."""
    try:
        driver = load(_DRIVER)
    except OSError as error:
        raise SetupProblem("no NVIDIA GPU here: an engine is built on the kind of GPU that will run it") from error
    device = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
        raise SetupProblem("NVIDIA's driver is here but gives no GPU: an engine cannot be built")
    name = ctypes.create_string_buffer(_NAME_BYTES)
    driver.cuDeviceGetName(name, _NAME_BYTES, device)
    return Gpu(name.value.decode(), f"sm_{_attribute(driver, device, _MAJOR)}{_attribute(driver, device, _MINOR)}")


def _attribute(driver: Any, device: ctypes.c_int, number: int) -> int:
    value = ctypes.c_int()
    driver.cuDeviceGetAttribute(ctypes.byref(value), number, device)
    return value.value
