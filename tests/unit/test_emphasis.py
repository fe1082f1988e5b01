import numpy as np
import pytest

from modelcore.text.emphasis import emphasised


def test_without_weights_nothing_is_touched() -> None:
    hidden = np.random.default_rng(0).standard_normal((6, 4), dtype=np.float32)
    assert emphasised(hidden, np.ones(6, np.float32)) is hidden


def test_weights_multiply_and_the_mean_stays() -> None:
    hidden = np.array([[1, 3], [2, 2], [4, 0]], np.float32)  # means 2, 2, 2: 6 in all
    got = emphasised(hidden, np.array([1, 2, 1], np.float32))  # 2, 4, 2: 8 in all
    np.testing.assert_allclose(got, np.array([[1, 3], [4, 4], [4, 0]]) * 6 / 8, rtol=1e-6)


@pytest.mark.parametrize("first", [1.0, 1.5])
def test_means_that_cancel_out_neither_drown_nor_invert_the_text(first: float) -> None:
    """The plain ratio of the means would be 0.001 of it for 1.0, and -666 times it for 1.5."""
    hidden = np.array([[first, first], [-1, -1.001]], np.float32)
    got = emphasised(hidden, np.array([1, 1.5], np.float32))
    np.testing.assert_allclose(got, hidden * [[1], [1.5]] / 1.5, rtol=1e-6)


def test_a_mean_of_nothing_is_left_alone() -> None:
    hidden = np.array([[2, -2], [1, -1]], np.float32)
    got = emphasised(hidden, np.array([1, 1.5], np.float32))
    np.testing.assert_allclose(got, [[2, -2], [1.5, -1.5]])


def test_a_word_of_no_weight_is_silent() -> None:
    got = emphasised(np.ones((3, 2), np.float32), np.array([1, 0, 1], np.float32))
    np.testing.assert_allclose(got, [[1.5, 1.5], [0, 0], [1.5, 1.5]])
