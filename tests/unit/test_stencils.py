"""Masks in their boxes: cut out, resized, laid over each other, outlined."""

import numpy as np
import pytest

from modelcore.vision.stencils import Stencil, inner_point, label_map, outline, scaled, stencil_of


def disc(size: int, x: float, y: float, radius: float) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    rows, columns = np.mgrid[:size, :size]
    return (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= radius**2


def stencil(mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Stencil:
    rows, columns = np.nonzero(mask)
    left, top = int(columns.min()), int(rows.min())
    return stencil_of(mask, (left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top))


def painted(piece: Stencil, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    return label_map([piece], (size, size)) > 0


def test_a_stencil_keeps_every_pixel_in_its_place() -> None:
    mask = disc(40, 22, 13, 9)
    assert (painted(stencil(mask), 40) == mask).all()


@pytest.mark.parametrize("new", [16, 25, 60, 63])
def test_a_scaled_stencil_is_the_mask_resized_by_the_nearest_pixel(new: int) -> None:
    mask = disc(64, 30.3, 25.1, 17.7)
    nearest = (2 * np.arange(new) + 1) * 64 // (2 * new)
    got = painted(scaled(stencil(mask), (64, 64), (new, new)), new)
    assert (got == mask[nearest][:, nearest]).all()


@pytest.mark.parametrize(("left", "top"), [(0, 0), (31, 7), (63, 63)])
def test_a_scaled_stencil_stays_inside_the_picture(left: int, top: int) -> None:
    small = scaled(Stencil(left, top, np.ones((1, 1), bool)), (64, 64), (4, 4))
    assert small.mask.size == 1
    assert 0 <= small.left < 4
    assert 0 <= small.top < 4


def test_a_smaller_region_lies_on_top_whatever_the_order() -> None:
    large, small = stencil(disc(32, 16, 16, 12)), stencil(disc(32, 16, 16, 4))
    for order in ([large, small], [small, large]):
        assert label_map(order, (32, 32))[16, 16] == order.index(small) + 1


def test_an_outline_is_the_ring_within_its_thickness() -> None:
    labels = np.zeros((12, 12), np.int32)
    labels[2:10, 2:10] = 1
    for thickness, pixels in ((1, 64 - 36), (2, 64 - 16)):
        assert np.count_nonzero(outline(labels, thickness)) == pixels


def test_the_pictures_edge_ends_a_region() -> None:
    assert outline(np.ones((5, 5), np.int32), 1).sum() == 16


def test_the_inner_point_of_a_disc_is_its_middle() -> None:
    x, y = inner_point(stencil(disc(64, 40, 20, 10)))
    assert abs(x - 40) <= 1
    assert abs(y - 20) <= 1


@pytest.mark.parametrize("size", [24, 700])
def test_the_inner_point_of_a_ring_is_on_the_ring(size: int) -> None:
    ring = disc(size, size / 2, size / 2, size * 0.45) & ~disc(size, size / 2, size / 2, size * 0.3)
    x, y = inner_point(stencil(ring))
    assert ring[y, x]


def test_a_hair_has_an_inner_point_too() -> None:
    hair = np.zeros((500, 500), bool)
    hair[np.arange(500), np.arange(500)] = True
    x, y = inner_point(stencil(hair))
    assert x == y
