"""Meta's .pt to safetensors under Meta's own names, in a process of its own.

    python -I unpickle.py CHECKPOINT.pt TENSORS.safetensors

A .pt is a pickle. torch's weights_only reader builds tensors and plain containers and nothing else; this process holds
no secrets and ends right after, should that reader ever be wrong. What it refuses is one line on stderr.
"""

import pickle
import re
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

_CODE = re.compile(r"GLOBAL (\S+)")


def main() -> int:
    checkpoint, target = map(Path, sys.argv[1:])
    try:
        save_file(_tensors(torch.load(checkpoint, map_location="cpu", weights_only=True)), target)
    except pickle.UnpicklingError as error:
        code = _CODE.search(str(error))
        return _refuse(f"it holds code ({code[1]}), not only weights" if code else "it is no pickle of weights")
    except Exception as error:  # the edge of this process: torch raises many kinds on damaged files
        return _refuse(str(error).strip().partition("\n")[0] or type(error).__name__)
    return 0


def _tensors(loaded: Any) -> dict[str, torch.Tensor]:
    state = loaded.get("model") if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError("there is no table of tensors named 'model' in it, as there is in Meta's")
    # safetensors refuses tensors that share memory.
    return {
        str(name): tensor.detach().float().clone(memory_format=torch.contiguous_format)
        for name, tensor in state.items()
    }


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
