"""Write a part in the hub's layout: half-precision safetensors, configuration, JSON."""

import json
from pathlib import Path
from typing import Any, Protocol

import torch


class Savable(Protocol):
    def save_pretrained(self, folder: Path, **options: Any) -> Any: ...


def save_model(model: Savable, folder: Path) -> None:
    """Weights rounded to fp16 on disk; the model in hand keeps its own."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.half().save_pretrained(folder, safe_serialization=True)
    model.float().load_state_dict(kept)


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def weight_count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
