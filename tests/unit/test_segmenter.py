"""From a picture's bytes to masks, with the demo family's weights: right, as Meta's, encoded once, never a crash."""

import io
import itertools
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from modelcore.errors import InvalidInput, TriptychError, Unavailable
from modelcore.images import encode_png
from modelcore.vision.islands import without_small_regions
from modelcore.vision.masks import Region, from_json
from modelcore.vision.rle import decode, encode
from modelcore.vision.runs import runs_of_bitmaps
from modelcore.vision.segment_answer import answer, regions, tolerance_of
from tests.meta_generator import GOLDEN, GOLDEN_PARAMETERS, GOLDEN_SCENES, GOLDEN_WORLD, meta_generator
from tests.sam2_in_process import DEMO, InProcess
from training.scene import CANVAS_PX
from training.world import Sample, World

THREE = World("held_out", 11, counts=(3,))


@pytest.fixture(scope="module")
def served() -> InProcess:
    return InProcess()


def image(pixels: NDArray[np.uint8] | Image.Image) -> NDArray[np.object_]:
    made = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    return np.array([encode_png(made)], dtype=np.object_)


def one(value: float | bool) -> NDArray[Any]:
    kind = np.bool_ if isinstance(value, bool) else np.int32 if isinstance(value, int) else np.float32
    return np.array([value], kind)


def find(served: InProcess, pixels: NDArray[np.uint8] | Image.Image, **arrays: NDArray[Any]) -> list[Region]:
    return regions(served.segmenter.segment({"image": image(pixels), **arrays}), 1.0)


def click_on(mask: NDArray[np.bool_]) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    nearest = np.hypot(rows - rows.mean(), columns - columns.mean()).argmin()
    return float(columns[nearest]) + 0.5, float(rows[nearest]) + 0.5


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def clicks(sample: Sample) -> dict[str, NDArray[Any]]:
    """One prompt for each thing."""
    points = np.array([[click_on(mask)] for mask in sample.drawing.masks], np.float32)
    return {"points": points, "point_labels": np.ones(points.shape[:2], np.int64)}


def test_a_click_finds_its_thing(served: InProcess) -> None:
    sample = THREE.sample(0)
    found = find(served, sample.drawing.pixels, **clicks(sample))
    best = [next(region for region in found if region.prompt == number) for number in range(3)]
    assert min(iou(decode(r.mask), mask) for r, mask in zip(best, sample.drawing.masks, strict=True)) > 0.85


def test_a_box_finds_its_thing(served: InProcess) -> None:
    sample = THREE.sample(1)
    spans = [np.nonzero(mask) for mask in sample.drawing.masks]
    boxes = np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in spans], np.float32)
    found = find(served, sample.drawing.pixels, boxes=boxes)
    assert min(iou(decode(found[3 * n].mask), mask) for n, mask in enumerate(sample.drawing.masks)) > 0.85


def test_a_prompt_gets_three_guesses_the_best_first(served: InProcess) -> None:
    sample = THREE.sample(0)
    found = find(served, sample.drawing.pixels, **clicks(sample))
    assert [region.prompt for region in found] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    scores = np.array([region.predicted_iou for region in found]).reshape(3, 3)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_a_prompt_gets_one_mask_where_one_is_asked_for(served: InProcess) -> None:
    sample = THREE.sample(0)
    found = find(served, sample.drawing.pixels, **clicks(sample), multimask=one(False))
    assert [region.prompt for region in found] == [0, 1, 2]


def test_prompts_together_are_answered_as_alone(served: InProcess) -> None:
    sample = THREE.sample(2)
    together = find(served, sample.drawing.pixels, **clicks(sample))
    padded = {"points": np.zeros((3, 4, 2), np.float32), "point_labels": np.full((3, 4), -1, np.int64)}
    padded["points"][:, 2:3], padded["point_labels"][:, 2] = clicks(sample)["points"], 1
    padded["points"][0, 0], padded["point_labels"][0, 0] = (1, 1), 0  # the first prompt has a point more
    mixed = find(served, sample.drawing.pixels, **padded)
    for alone, other in zip(together[3:], mixed[3:], strict=True):
        assert iou(decode(alone.mask), decode(other.mask)) > 0.999


def test_earlier_masks_go_in_as_they_came_out(served: InProcess) -> None:
    sample = THREE.sample(3)
    first = served.segmenter.segment({"image": image(sample.drawing.pixels), **clicks(sample), "multimask": one(False)})
    assert np.abs(first.low_res_masks).max() <= 32
    found = find(served, sample.drawing.pixels, **clicks(sample), mask_input=first.low_res_masks)
    alone = find(served, sample.drawing.pixels, **clicks(sample))
    assert [region.predicted_iou for region in found] != [region.predicted_iou for region in alone]


def test_a_second_question_about_a_picture_runs_no_encoder(served: InProcess) -> None:
    sample = THREE.sample(4)
    find(served, sample.drawing.pixels, **clicks(sample))
    before = served.times.copy()
    find(served, sample.drawing.pixels, **clicks(sample))
    find(served, sample.drawing.pixels)
    assert served.times["sam2_encoder"] == before["sam2_encoder"]
    assert served.times["sam2_prepare"] == before["sam2_prepare"]


def test_a_refused_request_runs_no_network(served: InProcess) -> None:
    before = served.times.copy()
    with pytest.raises(InvalidInput):
        find(served, THREE.sample(5).drawing.pixels, boxes=np.array([[9, 9, 1, 1]], np.float32))
    assert served.times == before


def test_parameters_of_automatic_masks_do_not_go_with_prompts(served: InProcess) -> None:
    sample = THREE.sample(0)
    with pytest.raises(InvalidInput, match="points_per_side is for automatic masks"):
        find(served, sample.drawing.pixels, **clicks(sample), points_per_side=one(8))


def test_a_small_cache_only_costs_time() -> None:
    forgetful = InProcess(cache_bytes=0)
    for _ in range(2):
        find(forgetful, THREE.sample(0).drawing.pixels, points_per_side=one(4))
    assert (forgetful.times["sam2_encoder"], forgetful.cache.counts().nbytes) == (2, 0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"points_per_side": 16, "stability_score_thresh": 0.8}, id="the demo family's"),
        pytest.param({"points_per_side": 12}, id="Meta's own thresholds"),
        pytest.param({"points_per_side": 6, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.3}, id="loose"),
        pytest.param({"points_per_side": 8, "stability_score_thresh": 0.8, "multimask_output": False}, id="single"),
    ],
)
def test_automatic_masks_are_those_of_metas_generator(served: InProcess, parameters: dict[str, Any]) -> None:
    generator = meta_generator(DEMO, **parameters)
    given = {"stability_score_thresh": 0.95, **parameters}
    arrays = {name.replace("multimask_output", "multimask"): one(value) for name, value in given.items()}
    for sample in World("held_out", 3, counts=(2,)).samples(2):
        wanted = generator.generate(sample.drawing.pixels)
        got = find(served, sample.drawing.pixels, **arrays)
        assert len(got) == len(wanted)
        for ours, theirs in zip(got, wanted, strict=True):  # in the same order
            assert coco.iou([dict(ours.mask)], [theirs["segmentation"]], [0]).item() > 0.99
            assert ours.predicted_iou == pytest.approx(theirs["predicted_iou"], abs=1e-4)
            assert ours.stability_score == pytest.approx(theirs["stability_score"], abs=1e-3)
            assert ours.point == tuple(theirs["point_coords"][0])
            # Meta's boxes end at the last pixel, COCO's behind it.
            left, top, width, height = theirs["bbox"]
            assert ours.box == (left, top, width + 1, height + 1)


def test_automatic_masks_are_those_that_metas_generator_once_made(served: InProcess) -> None:
    """For where its package is not installed; tests/meta_generator.py says how the file came about."""
    arrays = {name: one(value) for name, value in GOLDEN_PARAMETERS.items()}
    scenes = json.loads(GOLDEN.read_text())
    for sample, wanted in zip(GOLDEN_WORLD.samples(GOLDEN_SCENES), scenes, strict=True):
        got = find(served, sample.drawing.pixels, **arrays)
        assert len(got) == len(wanted) >= 3
        for ours, theirs in zip(got, wanted, strict=True):
            assert coco.iou([dict(ours.mask)], [theirs["segmentation"]], [0]).item() > 0.99
            assert ours.predicted_iou == pytest.approx(theirs["predicted_iou"], abs=1e-4)
            assert list(ours.point or ()) == theirs["point_coords"][0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layers", [0, 1])
def test_automatic_masks_of_a_stretched_picture_are_metas(served: InProcess, layers: int) -> None:
    """Its pixels reach the network rounded to grey levels, Meta's do not: the same masks, not the same numbers."""
    made = Image.fromarray(THREE.sample(6).drawing.pixels).resize((311, 170), Image.Resampling.BICUBIC)
    generator = meta_generator(DEMO, points_per_side=10, stability_score_thresh=0.8, crop_n_layers=layers)
    wanted = generator.generate(np.asarray(made))
    got = find(served, made, points_per_side=one(10), crop_n_layers=one(layers))
    overlaps = coco.iou([dict(r.mask) for r in got], [each["segmentation"] for each in wanted], [0] * len(wanted))
    assert len(got) == len(wanted)
    assert overlaps.max(axis=0).min() > 0.99


def test_small_islands_and_holes_can_be_removed(served: InProcess) -> None:
    loose = {"pred_iou_thresh": one(0.0), "stability_score_thresh": one(0.0), "points_per_side": one(5)}
    found = find(served, noise(128, 128), **loose)
    tidy = find(served, noise(128, 128), **loose, min_mask_region_area=one(60))
    masks = runs_of_bitmaps(np.stack([decode(region.mask) for region in tidy]))
    again, _ = without_small_regions(masks, 60)
    assert encode(again) == [region.mask for region in tidy]
    assert {r.mask["counts"] for r in tidy} - {r.mask["counts"] for r in found}


def test_polygons_can_keep_every_corner(served: InProcess) -> None:
    sample = THREE.sample(0)
    segmented = served.segmenter.segment({"image": image(sample.drawing.pixels)})
    exact, simple = regions(segmented, 0.0), regions(segmented, 1.0)
    count = [sum(len(ring) for r in found for polygon in r.polygons for ring in polygon) for found in (exact, simple)]
    assert count[0] > 2 * count[1]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 101.0])
def test_a_tolerance_out_of_bounds_is_refused(value: float) -> None:
    with pytest.raises(InvalidInput, match="polygon_tolerance must be between 0 and 100"):
        tolerance_of({"polygon_tolerance": one(value)})


def test_the_answer_as_json_is_the_answer_as_arrays(served: InProcess) -> None:
    segmented = served.segmenter.segment({"image": image(THREE.sample(0).drawing.pixels)})
    told = answer(segmented, 1.0)
    found = [from_json(document) for document in json.loads(told["regions"][0])]
    assert found == regions(segmented, 1.0)
    assert [json.loads(document) for document in told["masks"]] == [region.mask for region in found]
    assert told["boxes"].tolist() == [list(region.box) for region in found]
    assert told["areas"].tolist() == [decode(region.mask).sum() for region in found]
    assert told["scores"].tolist() == pytest.approx([region.predicted_iou for region in found])


def test_nothing_found_is_empty_arrays(served: InProcess) -> None:
    told = answer(served.segmenter.segment({"image": image(blank(300, 200)), "points_per_side": one(4)}), 1.0)
    assert told["regions"][0] == b"[]"
    assert {name: array.shape for name, array in told.items() if name != "regions"} == {
        "masks": (0,),
        "scores": (0,),
        "boxes": (0, 4),
        "areas": (0,),
        "low_res_masks": (0, 64, 64),
    }


def blank(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), (120, 130, 140))


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(blank(1, 1), id="one pixel"),
        pytest.param(noise(20, 1), id="20 to 1"),
        pytest.param(noise(8192, 410), id="8192 pixels wide"),
        pytest.param(blank(1024, 8192), id="8192 pixels high"),
        pytest.param(noise(600, 500), id="noise"),
    ],
)
@pytest.mark.parametrize("loose", [False, True])
def test_every_size_of_picture_is_answered(served: InProcess, made: Image.Image, loose: bool) -> None:
    any_mask = {"pred_iou_thresh": one(0.0), "stability_score_thresh": one(0.0)} if loose else {}
    found = find(served, made, points_per_side=one(4), crop_n_layers=one(1), **any_mask)
    for region in found:
        left, top, width, height = region.box
        assert region.mask["size"] == [made.height, made.width]
        assert 0 <= left < left + width <= made.width
        assert 0 <= top < top + height <= made.height


@pytest.mark.parametrize("place", [(0, 0), (1, 1), (0.5, 0.5)])
def test_a_picture_of_one_pixel_can_be_clicked(served: InProcess, place: tuple[float, float]) -> None:
    arrays = {"points": np.array([[place]], np.float32), "point_labels": np.ones((1, 1), np.int64)}
    assert all(region.area in (0, 1) for region in find(served, blank(1, 1), **arrays))


@pytest.mark.parametrize("kept", [0, 1, 50, 200])
def test_a_truncated_picture_is_refused(served: InProcess, kept: int) -> None:
    data = image(THREE.sample(0).drawing.pixels)[0][:kept]
    with pytest.raises(TriptychError):
        served.segmenter.segment({"image": np.array([data], dtype=np.object_)})


def test_a_turned_picture_is_pointed_at_as_it_is_seen(served: InProcess) -> None:
    sample = THREE.sample(7)
    wide = Image.fromarray(sample.drawing.pixels).resize((2 * CANVAS_PX, CANVAS_PX))
    exif = wide.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    buffer = io.BytesIO()
    wide.save(buffer, format="PNG", exif=exif)
    upright = wide.transpose(Image.Transpose.ROTATE_270)
    arrays = {"points": np.array([[[100, 250]]], np.float32), "point_labels": np.ones((1, 1), np.int64)}
    turned = served.segmenter.segment({"image": np.array([buffer.getvalue()], dtype=np.object_), **arrays})
    assert regions(turned, 1.0) == find(served, upright, **arrays)


def test_work_on_automatic_masks_ends_where_nobody_waits_for_them(served: InProcess) -> None:
    """Of 256 calls of the decoder."""
    parts = itertools.count()

    def go_on() -> None:
        if next(parts) >= 4:
            raise Unavailable("the request was cancelled")

    many = {"points_per_side": np.array([64], np.int32), "points_per_batch": np.array([16], np.int32)}
    with pytest.raises(Unavailable):
        served.segmenter.segment({"image": image(THREE.sample(0).drawing.pixels), **many}, go_on)
    assert next(parts) <= 6
