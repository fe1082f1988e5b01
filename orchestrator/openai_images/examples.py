"""What /docs and /openapi.json show of /v1/images."""

from typing import Any

REQUESTS: dict[str, Any] = {
    "words": {"value": {"model": "demo", "prompt": "a large red circle above a small blue square"}},
    "linked": {"value": {"prompt": "a green star", "n": 2, "size": "128x128", "response_format": "url", "seed": 7}},
    "streamed": {"value": {"prompt": "a green star", "stream": True, "partial_images": 2}},
}
# Of forms, beside their files.
EDIT: dict[str, Any] = {"model": "demo", "prompt": "a large red circle", "size": "auto"}
VARIATION: dict[str, Any] = {"model": "demo", "n": 2, "strength": 0.6}
ANSWER: dict[str, Any] = {
    "created": 1795000000,
    "background": "opaque",
    "data": [
        {
            "b64_json": "iVBORw0KGgo...",
            "url": None,
            "revised_prompt": None,
            "seed": 7,
            "image_id": "5e0d8f3c-9a12-4f8a-b126-7a2b9e149c3d",
        }
    ],
    "output_format": "png",
    "quality": "medium",
    "size": "128x128",
    "usage": {
        "input_tokens": 11,
        "output_tokens": 256,
        "total_tokens": 267,
        "input_tokens_details": {"text_tokens": 11, "image_tokens": 0},
    },
    "warnings": [],
}
STREAM = (
    'event: image_generation.partial_image\ndata: {"type":"image_generation.partial_image","b64_json":"...",'
    '"created_at":1795000000,"size":"128x128","quality":"medium","background":"opaque","output_format":"png",'
    '"partial_image_index":0}\n\n'
    'event: image_generation.completed\ndata: {"type":"image_generation.completed","b64_json":"...","usage":{}}\n\n'
)
