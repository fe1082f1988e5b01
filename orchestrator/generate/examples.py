"""What /docs and /openapi.json show of /generate."""

from typing import Any

_IMAGE_ID = "5e0d8f3c-9a12-4f8a-b126-7a2b9e149c3d"

REQUESTS: dict[str, Any] = {
    "words": {"value": {"prompt": "a large red circle above a small blue square"}},
    "chosen": {"value": {"prompt": "a green star", "negative_prompt": "blue", "steps": 30, "seed": 7, "num_images": 2}},
}
ANSWER: dict[str, Any] = {
    "request_id": "e9c80f74-186f-4e82-be32-2156a0f3c9a9",
    "image_id": _IMAGE_ID,
    "generated_image": "iVBORw0KGgo...",
    "images": [{"id": _IMAGE_ID, "url": f"/images/{_IMAGE_ID}/file", "seed": 7, "width": 128, "height": 128}],
    "seed": 7,
    "clip_analysis": {"concepts": ["red circle"], "confidence_scores": {"red circle": 0.6064}},
    "clip_scores": [{"class": "red circle", "confidence": "60.64%", "score": 0.6064}],
    "basic_segmentation": {
        "masks": [{"size": [128, 128], "counts": "..."}],
        "polygons": [[[[20.0, 20.0], [60.0, 20.0], [60.0, 60.0]]]],
    },
    "warnings": [],
    "timings_ms": {"paint": 900.0, "store": 20.0, "analyze": 150.0, "total": 1070.0},
}
STREAM = (
    'event: progress\ndata: {"index":0,"step":1,"steps":20,"eta_s":0.8,"preview":null}\n\n'
    'event: completed\ndata: {"request_id":"...","image_id":"...","generated_image":"..."}\n\n'
)
