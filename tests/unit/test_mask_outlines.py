"""Outlines, polygons and small regions of masks, all from runs."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from modelcore.vision.islands import complement, without_small_regions
from modelcore.vision.masks import Polygon
from modelcore.vision.outlines import trace
from modelcore.vision.polygons import polygons
from modelcore.vision.rings import overlaps, rasterise, simplified
from modelcore.vision.runs import Runs, runs_of_bitmaps, runs_of_logits
from training.world import World


def random_masks(count: int, height: int, width: int, density: float) -> NDArray[np.bool_]:
    return np.random.default_rng(7).random((count, height, width)) < density


def drawn(*rows: str) -> NDArray[np.bool_]:
    return np.array([[character == "#" for character in row] for row in rows])


def turning(ring: list[tuple[float, float]]) -> float:
    """Twice the signed area: positive where the ring turns clockwise on a screen."""
    points = np.array(ring)
    following = np.roll(points, -1, axis=0)
    return float((points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]).sum())


def pixels_of(shape: list[Polygon], height: int, width: int) -> NDArray[np.bool_]:
    """By Pillow at 16 times the size, where a pixel more or less on its edges counts little."""
    scale = 16
    canvas = Image.new("1", (width * scale, height * scale))
    for polygon in shape:
        for number, ring in enumerate(polygon):
            corners = [(x * scale - 0.5, y * scale - 0.5) for x, y in ring]
            ImageDraw.Draw(canvas).polygon(corners, fill=number == 0)
    return np.asarray(canvas)[scale // 2 :: scale, scale // 2 :: scale]


MASKS = [
    pytest.param(np.ones((1, 1, 1), np.bool_), id="one pixel"),
    pytest.param(np.zeros((2, 9, 9), np.bool_), id="nothing"),
    pytest.param(np.ones((2, 9, 12), np.bool_), id="everything"),
    pytest.param(random_masks(4, 30, 40, 0.5), id="noise"),
    pytest.param(random_masks(4, 40, 30, 0.8), id="noise with many holes"),
    pytest.param(drawn("#.#", ".#.", "#.#")[None], id="touching at corners"),
]


@pytest.mark.parametrize("masks", MASKS)
def test_outlines_enclose_exactly_their_mask(masks: NDArray[np.bool_]) -> None:
    runs = runs_of_bitmaps(masks)
    again = rasterise(trace(runs), runs.height, runs.width, runs.count)
    assert all((again.bitmap(mask) == masks[mask]).all() for mask in range(len(masks)))


@pytest.mark.parametrize("masks", MASKS)
def test_outer_rings_turn_clockwise_and_holes_the_other_way(masks: NDArray[np.bool_]) -> None:
    for shape in polygons(runs_of_bitmaps(masks), 0):
        assert all((turning(ring) > 0) == (number == 0) for polygon in shape for number, ring in enumerate(polygon))


def test_holes_belong_to_the_island_around_them() -> None:
    mask = drawn("###.#####", "#.#.#...#", "###.#.#.#", "....#...#", "....#####")
    (shape,) = polygons(runs_of_bitmaps(mask[None]), 0)
    assert sorted((len(polygon), abs(turning(polygon[0])) / 2) for polygon in shape) == [(1, 1), (2, 9), (2, 25)]


def test_pixels_that_touch_at_a_corner_are_polygons_of_their_own() -> None:
    (shape,) = polygons(runs_of_bitmaps(drawn("#.", ".#")[None]), 0)
    assert [len(polygon[0]) for polygon in shape] == [4, 4]


@pytest.mark.parametrize("tolerance_px", [0.5, 1.0, 2.0, 5.0])
def test_what_a_polygon_leaves_out_is_within_the_tolerance(tolerance_px: float) -> None:
    rings = trace(disc_runs(radius_px=60))
    simple = simplified(rings, tolerance_px)
    corners = simple.points.astype(float)
    sides = np.roll(corners, -1, axis=0) - corners
    offsets = rings.points[:, None] - corners
    share = np.clip((offsets * sides).sum(-1) / (sides**2).sum(-1), 0, 1)
    distances = np.hypot(*np.moveaxis(offsets - share[..., None] * sides, -1, 0)).min(axis=1)
    assert distances.max() <= tolerance_px


def test_a_disc_needs_few_corners() -> None:
    ((polygon,),) = polygons(disc_runs(radius_px=60), 1.0)
    assert len(polygon[0]) < 60


@pytest.mark.parametrize("tolerance_px", [1.0, 3.0, 100.0])
def test_polygons_drawn_by_pillow_are_their_masks(tolerance_px: float) -> None:
    masks = np.concatenate([sample.drawing.masks for sample in World("held_out", 5).samples(15)])
    torch.manual_seed(5)
    noise = torch.nn.functional.interpolate(torch.randn(8, 1, 6, 6), (64, 64), mode="bicubic")[:, 0].numpy()
    for runs in (runs_of_bitmaps(masks), *runs_of_logits(noise, 100, 150, (0.0,))):
        for number, shape in enumerate(polygons(runs, tolerance_px)):
            mask, again = runs.bitmap(number), pixels_of(shape, runs.height, runs.width)
            assert (mask & again).sum() >= 0.98 * (mask | again).sum()


def test_overlap_is_the_share_of_common_pixels() -> None:
    one, other = random_masks(3, 20, 30, 0.4), random_masks(3, 20, 30, 0.7)[::-1]
    wanted = (one & other).sum(axis=(1, 2)) / (one | other).sum(axis=(1, 2))
    assert overlaps(runs_of_bitmaps(one), runs_of_bitmaps(other)) == pytest.approx(wanted)


@pytest.mark.parametrize("masks", MASKS)
def test_the_complement_is_every_other_pixel(masks: NDArray[np.bool_]) -> None:
    outside = complement(runs_of_bitmaps(masks))
    assert all((outside.bitmap(mask) == ~masks[mask]).all() for mask in range(len(masks)))


def test_small_holes_are_filled_and_small_islands_removed() -> None:
    before = drawn("######...", "#.##.#...", "####.#..#", "######...")
    after = drawn("######...", "######...", "######...", "######...")
    assert tidied(before, least_area=3) == (after.tolist(), True)


def test_regions_of_the_least_area_stay() -> None:
    mask = drawn("######...", "#.##.#...", "####.#..#", "######...")
    assert tidied(mask, least_area=1) == (mask.tolist(), False)


def test_islands_that_touch_at_a_corner_are_one() -> None:
    mask = drawn("##...", "##...", "..#..", ".....")
    assert tidied(mask, least_area=5) == (mask.tolist(), False)


def test_where_all_islands_are_small_the_largest_stays() -> None:
    assert tidied(drawn("##..#", ".....", "#...."), least_area=4) == (drawn("##...", ".....", ".....").tolist(), True)


def tidied(mask: NDArray[np.bool_], least_area: int) -> tuple[list[list[bool]], bool]:
    runs, changed = without_small_regions(runs_of_bitmaps(mask[None]), least_area)
    return runs.bitmap(0).tolist(), bool(changed[0])


def disc_runs(radius_px: int) -> Runs:
    places = np.arange(2 * radius_px + 4) - radius_px - 1.5
    return runs_of_bitmaps((np.hypot(places[:, None], places) < radius_px)[None])
