"""The answers about pictures have the references' shapes: field by field, as JSON."""

import base64
import dataclasses
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from pydantic import ValidationError

from modelcore.vision.masks import Region, Rle
from orchestrator.analyze.schemas import AnalyzeRequest, known_picture_answer, sent_picture_answer
from orchestrator.analyze.service import Analysis
from orchestrator.pictures.schemas import percent
from orchestrator.pictures.understanding import Concept
from orchestrator.probe.schemas import ProbeRequest, probe_answer
from orchestrator.probe.service import Probed, RegionLikeness
from orchestrator.segment.schemas import MaskFormat, segment_answer
from orchestrator.segment.service import NamedRegion, Segmented
from orchestrator.visualize.schemas import VisualizeRequest, visualize_answer
from orchestrator.visualize.service import Spotlight, View, Visualized

MASK = np.zeros((4, 6), np.uint8)
MASK[1:3, 2:5] = 1
ENCODED = coco.encode(np.asfortranarray(MASK))
RLE = Rle(size=[4, 6], counts=ENCODED["counts"].decode())
RING = [(2.0, 1.0), (5.0, 1.0), (5.0, 3.0), (2.0, 3.0)]
RING_JSON = [list(corner) for corner in RING]
REGION = Region(RLE, [[RING]], (2, 1, 3, 2), 6, 0.987, 0.9, (3.5, 1.5))
CONCEPTS = [Concept("plate", 0.6064), Concept("apple", 0.3003)]
CUT = ("labels[0]: a text encoder reads at most 77 tokens; it did not read all of it",)
ANALYSIS = Analysis(CONCEPTS, (REGION,), CUT)
SCORES = [
    {"class": "plate", "confidence": "60.64%", "score": 0.6064},
    {"class": "apple", "confidence": "30.03%", "score": 0.3003},
]


def as_json(answer: Any) -> Any:
    return answer.model_dump(mode="json")


def test_a_sent_pictures_analysis_is_the_first_references() -> None:
    assert as_json(sent_picture_answer("id", ANALYSIS)) == {
        "request_id": "id",
        "clip_analysis": {"concepts": ["plate", "apple"], "confidence_scores": {"plate": 0.6064, "apple": 0.3003}},
        "clip_scores": SCORES,
        "basic_segmentation": {"masks": [dict(RLE)], "polygons": [[RING_JSON]]},
        "warnings": list(CUT),
    }


def test_a_known_pictures_analysis_is_the_second_references() -> None:
    assert as_json(known_picture_answer("id", ANALYSIS)) == {
        "request_id": "id",
        "clip_scores": SCORES,
        "segmentation": {"masks": ["region_0"], "polygons": [[RING_JSON]]},
        "warnings": list(CUT),
    }


def test_a_probe_tells_percent_and_cosine() -> None:
    probed = Probed("orange", -0.2, [RegionLikeness(0, "apple", 0.15654)], CUT)
    assert as_json(probe_answer(probed)) == {
        "probe_text": "orange",
        "global_match_score": "0.00%",
        "global_match": -0.2,
        "regional_matches": [
            {"region_id": 0, "class_label": "apple", "similarity_to_prompt": "15.65%", "similarity": 0.15654}
        ],
        "warnings": list(CUT),
    }


def segmented(mask_format: MaskFormat) -> dict[str, Any]:
    answer = as_json(segment_answer("id", Segmented([NamedRegion(0, REGION, CONCEPTS)], CUT), mask_format))
    region: dict[str, Any] = answer["segmented_regions"][0]
    return region


def test_a_segmented_region_is_the_references_with_what_sam_knows_beside_it() -> None:
    assert segmented("rle") == {
        "region_id": 0,
        "sam_confidence": "0.99",
        "predicted_iou": 0.987,
        "stability_score": 0.9,
        "clip_analysis": SCORES,
        "polygon": [RING_JSON],
        "box": [2, 1, 3, 2],
        "area": 6,
        "prompt": None,
        "mask": dict(RLE),
    }


def test_a_png_mask_is_the_mask() -> None:
    picture = Image.open(io.BytesIO(base64.b64decode(segmented("png")["mask"])))
    assert (np.asarray(picture) == MASK.astype(bool)).all()


def test_a_polygon_is_the_rings_of_all_islands_and_holes() -> None:
    island, hole = [(20.0, 1.0), (25.0, 1.0), (25.0, 3.0)], [(3.0, 1.5), (3.0, 2.5), (4.0, 2.5)]
    region = dataclasses.replace(REGION, polygons=[[RING, hole], [island]])
    (answer,) = as_json(known_picture_answer("id", Analysis(CONCEPTS, (region,))))["segmentation"]["polygons"]
    assert answer == [[list(corner) for corner in ring] for ring in (RING, hole, island)]


def test_polygons_alone_come_without_a_mask() -> None:
    assert segmented("polygon")["mask"] is None


def test_visualizations_travel_as_base64() -> None:
    spotlight = Spotlight(0, "plate", [[RING]], b"bright", None)
    assert as_json(visualize_answer(Visualized(1, b"all", [spotlight], CUT))) == {
        "status": "success",
        "total_regions": 1,
        "master_overlay": base64.b64encode(b"all").decode(),
        "individual_spotlights": [
            {
                "region_id": 0,
                "top_class": "plate",
                "polygon": [RING_JSON],
                "image": base64.b64encode(b"bright").decode(),
                "cutout": None,
            }
        ],
        "warnings": list(CUT),
    }


@pytest.mark.parametrize(
    ("share", "written"), [(0.6064, "60.64%"), (1.0, "100.00%"), (0.0, "0.00%"), (-0.3, "0.00%"), (0.15654, "15.65%")]
)
def test_shares_are_written_with_two_decimals(share: float, written: str) -> None:
    assert percent(share) == written


def test_a_visualize_request_says_how_to_draw() -> None:
    request = VisualizeRequest(longest_px=512, spotlights=3, cutouts=True, format="jpeg")
    assert request.view() == View(512, 3, True, "jpeg")


@pytest.mark.parametrize(
    ("request_type", "fields"),
    [
        (AnalyzeRequest, {"top": 0}),
        (AnalyzeRequest, {"top": "5"}),
        (AnalyzeRequest, {"labels": 3}),
        (AnalyzeRequest, {"segment": 1}),
        (ProbeRequest, {}),
        (ProbeRequest, {"prompt": ""}),
        (ProbeRequest, {"prompt": "x" * 2001}),
        (VisualizeRequest, {"longest_px": 4096}),
        (VisualizeRequest, {"spotlights": -1}),
        (VisualizeRequest, {"format": "gif"}),
    ],
)
def test_requests_are_strict(request_type: type[Any], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        request_type(**fields)
