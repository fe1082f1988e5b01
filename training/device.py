"""Where training runs: on a GPU where one is at hand, else on the CPU; in bfloat16 where that is faster."""

import os

import torch


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def mixed_precision(device: torch.device, *, enabled: bool = True) -> torch.autocast:
    """Forward passes in bfloat16 on hardware that multiplies it, in float32 elsewhere."""
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled and fast)


def machine() -> str:
    """For the model card: what trained it."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"{torch.get_num_threads()} of {os.cpu_count()} CPU cores"
