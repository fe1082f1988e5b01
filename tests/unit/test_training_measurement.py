import pytest

from training.measurement import Measured, average, share, table, wilson


def test_wilson_agrees_with_the_published_example() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 gives 0.2553 to 0.3662.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_wilson_stays_open_at_a_perfect_score() -> None:
    low, high = wilson(200, 200)
    assert (low, high) == pytest.approx((0.98115, 1.0), abs=1e-5)


def test_average_has_the_normal_interval_of_the_mean() -> None:
    measured = average("vae.decibel", [34.0, 36.0] * 50)
    half = 1.959964 * 1.0050378 / 10  # deviation with n - 1, over the root of 100
    assert (measured.low, measured.high) == pytest.approx((35 - half, 35 + half), abs=1e-6)


def test_bar_is_met_at_the_bar_itself() -> None:
    assert share("clip.zero_shot", 97, 100).is_met is True


def test_bar_is_missed_below_it() -> None:
    assert share("clip.zero_shot", 96, 100).is_met is False


def test_what_is_not_promised_is_neither_met_nor_missed() -> None:
    assert share("clip.zero_shot_unseen", 1, 100).is_met is None


def test_table_tells_value_interval_and_bar() -> None:
    row = table([Measured("vae.decibel", 36.1, 35.8, 36.4, 200)]).splitlines()[-1]
    assert row == "| vae | reconstruction (200 cases) | 36.1 dB | 35.8 dB to 36.4 dB | 35.0 dB | met |"
