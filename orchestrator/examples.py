"""What /docs and /openapi.json show of each shape, by its name there. Routes with more to show have their own.

A test compares each with its shape, and finds requests and answers that nothing shows.
"""

from typing import Any

import orchestrator.openai_images.examples

_IMAGE_ID = "5e0d8f3c-9a12-4f8a-b126-7a2b9e149c3d"
_PARENT_ID = "0b9f2f0e-55a3-4b0e-8c59-8d1f5a0f7c11"
_REQUEST_ID = "e9c80f74-186f-4e82-be32-2156a0f3c9a9"
_BASE64 = "iVBORw0KGgo..."
_RING = [[20.0, 20.0], [60.0, 20.0], [60.0, 60.0], [20.0, 60.0]]
_RLE = {"size": [128, 128], "counts": "..."}
_SCORE = {"class": "red circle", "confidence": "60.64%", "score": 0.6064}

_IMAGE: dict[str, Any] = {
    "id": _IMAGE_ID,
    "url": f"/images/{_IMAGE_ID}/file",
    "thumbnail_url": f"/images/{_IMAGE_ID}/thumbnail",
    "created_at": "2026-11-21T15:00:00Z",
    "created_at_ms": 1795273200000,
    "kind": "image",
    "prompt": "a large red circle above a small blue square",
    "negative_prompt": "",
    "family": "demo",
    "seed": 7,
    "width": 128,
    "height": 128,
    "media_type": "image/png",
    "size_bytes": 12345,
    "parent_id": _PARENT_ID,
    "relation": "variation_of",
    "feedback": 1,
    "note": "the best so far",
    "params": {"steps": 20, "guidance_scale": 2.0, "scheduler": "dpmpp_sde"},
    "parameters": {
        "model": "demo",
        "parameters": {"steps": 20, "guidance_scale": 2.0, "scheduler": "dpmpp_sde"},
        "warnings": [],
    },
}
_PARENT = {
    "id": _PARENT_ID,
    "url": f"/images/{_PARENT_ID}/file",
    "thumbnail_url": f"/images/{_PARENT_ID}/thumbnail",
    "relation": "variation_of",
}
_MODEL = {"id": "demo", "object": "model", "created": 1795273200, "owned_by": "triptych"}

EXAMPLES: dict[str, dict[str, Any]] = {
    "Home": {
        "name": "Triptych",
        "version": "0.1.0",
        "endpoints": [{"method": "POST", "path": "/generate", "summary": "Generate"}],
    },
    "HealthSummary": {
        "status": "degraded",
        "models": [
            {"name": "clip_text", "ready": True, "problems": []},
            {"name": "segment", "ready": False, "problems": ["segment: not loaded"]},
        ],
    },
    "Live": {"status": "live"},
    "Ready": {"status": "ready"},
    "ModelsInfo": {
        "family": "demo",
        "models": [
            {
                "name": "clip_text_string",
                "about": "Texts to unit vectors.",
                "backend": "ensemble",
                "versions": ["1"],
                "max_batch_size": 32,
                "inputs": [{"name": "text", "data_type": "BYTES", "dims": [1], "optional": False, "about": "UTF-8."}],
                "outputs": [
                    {"name": "embedding", "data_type": "FP32", "dims": [128], "optional": False, "about": "Length 1."}
                ],
            }
        ],
    },
    "OpenAIModel": _MODEL,
    "OpenAIModels": {"object": "list", "data": [_MODEL]},
    "ImagesAnswer": orchestrator.openai_images.examples.ANSWER,
    "EmbeddingsRequest": {"model": "clip", "input": ["a large red circle", "a small blue square"]},
    "EmbeddingsAnswer": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.12, -0.03, 0.99]}],
        "model": "clip",
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
        "warnings": [],
    },
    "SentPictureAnswer": {
        "request_id": _REQUEST_ID,
        "clip_analysis": {"concepts": ["red circle"], "confidence_scores": {"red circle": 0.6064}},
        "clip_scores": [_SCORE],
        "basic_segmentation": {"masks": [_RLE], "polygons": [[_RING]]},
        "warnings": [],
    },
    "KnownPictureAnswer": {
        "request_id": _REQUEST_ID,
        "clip_scores": [_SCORE],
        "segmentation": {"masks": ["region_0"], "polygons": [[_RING]]},
        "warnings": [],
    },
    "ProbeAnswer": {
        "probe_text": "metal",
        "global_match_score": "21.50%",
        "global_match": 0.215,
        "regional_matches": [
            {"region_id": 0, "class_label": "red circle", "similarity_to_prompt": "18.20%", "similarity": 0.182}
        ],
        "warnings": [],
    },
    "SegmentAnswer": {
        "request_id": _REQUEST_ID,
        "segmented_regions": [
            {
                "region_id": 0,
                "sam_confidence": "0.97",
                "predicted_iou": 0.97,
                "stability_score": 0.96,
                "clip_analysis": [_SCORE],
                "polygon": [_RING],
                "box": [20, 20, 40, 40],
                "area": 1600,
                "prompt": None,
                "mask": _RLE,
            }
        ],
        "warnings": [],
    },
    "VisualizeAnswer": {
        "status": "success",
        "total_regions": 1,
        "master_overlay": _BASE64,
        "individual_spotlights": [
            {"region_id": 0, "top_class": "red circle", "polygon": [_RING], "image": _BASE64, "cutout": None}
        ],
        "warnings": [],
    },
    "ImageBody": _IMAGE,
    "ImageDetails": _IMAGE | {"image_data": _BASE64, "ancestors": [_PARENT], "children": []},
    "ImagesPage": {"images": [_IMAGE | {"similarity": None}], "next_cursor": None, "warnings": []},
    "FeedbackRequest": {"image_id": _IMAGE_ID, "feedback": 1, "note": "the best so far"},
}
