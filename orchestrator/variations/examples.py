"""What /docs and /openapi.json show of /variations."""

from typing import Any

from orchestrator.generate import examples

_PARENT = "0b7c5a1e-4f7d-4d0a-9d37-f3cf1c0a2f55"

REQUESTS: dict[str, Any] = {
    "noise": {"value": {"image_id": _PARENT, "num_images": 3, "variation_strength": 0.3}},
    "picture": {"value": {"image_id": _PARENT, "strength": 0.5, "prompt": "a blue star", "seed": 7}},
}
ANSWER: dict[str, Any] = examples.ANSWER | {"parent_id": _PARENT, "prompt": "a large red circle"}
STREAM = examples.STREAM
