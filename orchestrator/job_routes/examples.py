"""What /docs and /openapi.json show of /jobs."""

from typing import Any

_ID = "0f0b8e1c-5d5e-4f4c-8a63-9c1b0f4f8f2a"
_IMAGE_ID = "5e0d8f3c-9a12-4f8a-b126-7a2b9e149c3d"

REQUESTS: dict[str, Any] = {
    "a picture": {"value": {"kind": "generate", "request": {"prompt": "a large red circle", "steps": 20}}},
    "regions": {"value": {"kind": "segment", "request": {"image_id": _IMAGE_ID}, "priority": "batch"}},
}
SUMMARY: dict[str, Any] = {
    "id": _ID,
    "url": f"/jobs/{_ID}",
    "kind": "generate",
    "state": "completed",
    "priority": "interactive",
    "attempt": 1,
    "created_at_ms": 1795273200000,
    "started_at_ms": 1795273200100,
    "finished_at_ms": 1795273201200,
    "step": 20,
    "steps": 20,
    "error": None,
}
_RESULT: dict[str, Any] = {
    "image_id": _IMAGE_ID,
    "images": [{"id": _IMAGE_ID, "url": f"/images/{_IMAGE_ID}/file", "seed": 7, "width": 128, "height": 128}],
    "clip_analysis": {"concepts": ["red circle"], "confidence_scores": {"red circle": 0.6064}},
}
JOB: dict[str, Any] = SUMMARY | {
    "events_url": f"/jobs/{_ID}/events",
    "position": None,
    "eta_s": None,
    "request": {"prompt": "a large red circle", "steps": 20},
    "result": _RESULT,
}
_PROGRESS = '"attempt":1,"step":5,"steps":20,"position":null,"eta_s":0.8,"preview":"/9j/4AAQ..."'
EVENTS = (
    f'id: 100005\nevent: progress\ndata: {{"id":"{_ID}","state":"running",{_PROGRESS}}}\n\n'
    ": still here\n\n"
    f'id: 199999\nevent: completed\ndata: {{"id":"{_ID}","state":"completed","result":{{}}}}\n\n'
)
