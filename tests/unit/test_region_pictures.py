"""Crops for CLIP, overlay, spotlights, cut-outs: what a pixel must be, by hand."""

import numpy as np
import pytest
from PIL import Image

from modelcore.vision.crops import CROP_PX, CropRule, crop_region, square_around
from modelcore.vision.cutout import cutout
from modelcore.vision.overlay import overlay
from modelcore.vision.palette import colours
from modelcore.vision.spotlight import dimmed, spotlight
from modelcore.vision.stencils import Stencil

NEUTRAL = (122, 117, 104)
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)
CORNERLESS = np.ones((10, 20), bool)
CORNERLESS[0, 0] = False
PIECE = Stencil(left=15, top=12, mask=CORNERLESS)


@pytest.mark.parametrize(
    ("padding", "shifted", "wanted"),
    [
        (0.0, False, (15, 7, 20)),
        (0.5, False, (5, -3, 40)),
        (0.5, True, (5, 0, 40)),
        (2.0, True, (-20, -30, 100)),  # larger than the picture: centred on it
    ],
)
def test_the_square_is_padded_and_moved_inside_as_far_as_it_fits(
    padding: float, shifted: bool, wanted: tuple[int, int, int]
) -> None:
    assert square_around(PIECE, padding, (60, 40), shifted=shifted) == wanted


def test_a_kept_background_is_the_pictures_own() -> None:
    crop = np.asarray(crop_region(Image.fromarray(NOISE), PIECE, CropRule(0.0, "kept")))
    assert (crop == NOISE[7:27, 15:35]).all()


def test_a_dropped_background_is_neutral_up_to_the_last_pixel() -> None:
    crop = np.asarray(crop_region(Image.fromarray(NOISE), PIECE, CropRule(0.0, "dropped")))
    shown = np.zeros((20, 20), bool)
    shown[5:15] = CORNERLESS
    assert (crop[shown] == NOISE[12:22, 15:35][CORNERLESS]).all()
    assert (crop[~shown] == NEUTRAL).all()


def test_a_blurred_background_leaves_the_region_sharp() -> None:
    crop = np.asarray(crop_region(Image.fromarray(NOISE), PIECE, CropRule(0.0, "blurred"))).astype(int)
    assert (crop[6:15] == NOISE[13:22, 15:35]).all()
    assert crop[:5].std() < NOISE[7:12, 15:35].std() / 3


def test_a_crop_beyond_the_picture_is_neutral_there() -> None:
    crop = np.asarray(crop_region(Image.fromarray(NOISE), PIECE, CropRule(2.0, "kept")))
    assert crop.shape == (100, 100, 3)
    assert (crop[:30] == NEUTRAL).all()


@pytest.mark.parametrize("background", ["kept", "blurred", "dropped"])
def test_a_large_crop_is_shrunk(background: str) -> None:
    picture = Image.new("RGB", (900, 900), "red")
    piece = Stencil(50, 50, np.ones((800, 700), bool))
    crop = crop_region(picture, piece, CropRule(0.0, background))  # type: ignore[arg-type]
    assert crop.size == (CROP_PX, CROP_PX)
    assert crop.getpixel((CROP_PX // 2, CROP_PX // 2)) == (255, 0, 0)


def test_one_pixel_is_a_crop_too() -> None:
    crop = crop_region(Image.new("RGB", (1, 1), "red"), Stencil(0, 0, np.ones((1, 1), bool)), CropRule(0.75, "dropped"))
    assert crop.getbbox() is not None


@pytest.mark.parametrize(("count", "least"), [(6, 100), (12, 40), (64, 8)])
def test_colours_differ_from_each_other(count: int, least: int) -> None:
    inks = colours(count).astype(int)
    distances = np.abs(inks[:, None] - inks[None]).sum(axis=2) + 999 * np.eye(count, dtype=int)
    assert distances.min() >= least


def test_no_regions_need_no_colours() -> None:
    assert colours(0).shape == (0, 3)


def test_an_overlay_leaves_what_is_no_region_alone() -> None:
    noise = RNG.integers(0, 256, (90, 90, 3), dtype=np.uint8)
    drawn = overlay(noise, [Stencil(20, 20, np.ones((50, 50), bool))])
    outside = np.ones((90, 90), bool)
    outside[20:70, 20:70] = False
    assert (drawn[outside] == noise[outside]).all()


def test_an_overlay_tints_regions_in_their_colours_and_outlines_them() -> None:
    black = np.zeros((200, 200, 3), np.uint8)
    pieces = [Stencil(10, 10, np.ones((80, 80), bool)), Stencil(110, 110, np.ones((80, 80), bool))]
    drawn, inks = overlay(black, pieces), colours(2)
    for piece, ink in zip(pieces, inks, strict=True):
        assert (drawn[piece.top, piece.left] == ink).all()
        assert (drawn[piece.top + 5, piece.left + 5] == (ink * np.float32(0.45)).round().astype(np.uint8)).all()


def test_an_overlay_numbers_its_regions() -> None:
    black = np.zeros((200, 200, 3), np.uint8)
    piece = Stencil(40, 40, np.ones((120, 120), bool))
    middle = overlay(black, [piece])[80:120, 80:120]
    assert (middle.min(axis=2) > 200).any()


def test_a_number_stands_where_its_region_can_be_seen() -> None:
    black = np.zeros((200, 200, 3), np.uint8)
    large, small = Stencil(0, 0, np.ones((200, 200), bool)), Stencil(60, 60, np.ones((80, 80), bool))
    alone = overlay(black, [large])
    drawn = overlay(black, [large, small])
    assert (alone[90:110, 90:110].min(axis=2) > 200).any()
    ring = np.ones((200, 200), bool)
    ring[60:140, 60:140] = False
    assert (drawn[ring].min(axis=1) > 200).any()


def test_a_region_that_is_covered_gets_no_number() -> None:
    same = Stencil(40, 40, np.ones((120, 120), bool))
    one, two = (
        overlay(np.zeros((200, 200, 3), np.uint8), [same]),
        overlay(np.zeros((200, 200, 3), np.uint8), [same] * 2),
    )
    assert (one.min(axis=2) > 200).sum() == (two.min(axis=2) > 200).sum()


def test_an_overlay_of_nothing_is_the_picture() -> None:
    assert (overlay(NOISE, []) == NOISE).all()


def test_a_spotlight_keeps_its_region_and_dims_the_rest() -> None:
    drawn = spotlight(NOISE, dimmed(NOISE), PIECE)
    shown = np.zeros((40, 60), bool)
    shown[12:22, 15:35] = CORNERLESS
    assert (drawn[shown] == NOISE[shown]).all()
    assert (drawn[~shown] == (NOISE[~shown] * 0.3).round()).all()


def test_a_cutout_is_its_box_and_nothing_behind_the_mask() -> None:
    cut = cutout(NOISE, PIECE)
    assert cut.shape == (10, 20, 4)
    assert (cut[CORNERLESS][:, :3] == NOISE[12:22, 15:35][CORNERLESS]).all()
    assert cut[0, 0].tolist() == [0, 0, 0, 0]
    assert (cut[..., 3] == CORNERLESS * 255).all()
