"""A measured number with its 95 % interval, set against its bar."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training.bars import AT_MOST, BARS, Bar

_NORMAL_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Measured:
    key: str
    value: float
    low: float
    high: float
    cases: int

    @property
    def bar(self) -> Bar:
        return BARS[self.key]

    @property
    def is_met(self) -> bool | None:
        """None where nothing is promised."""
        if self.bar.bar is None:
            return None
        if self.bar.unit in AT_MOST:
            return self.value <= self.bar.bar
        return self.value >= self.bar.bar


def share(key: str, successes: int, cases: int) -> Measured:
    """A proportion with Wilson's interval, which also holds near 0 and 1."""
    low, high = wilson(successes, cases)
    return Measured(key, successes / cases, low, high, cases)


def average(key: str, values: Sequence[float]) -> Measured:
    """A mean with the normal interval of the mean."""
    cases = len(values)
    mean = math.fsum(values) / cases
    variance = math.fsum((value - mean) ** 2 for value in values) / (cases - 1)
    half = _NORMAL_95 * math.sqrt(variance / cases)
    return Measured(key, mean, mean - half, mean + half, cases)


def wilson(successes: int, cases: int) -> tuple[float, float]:
    rate, z2 = successes / cases, _NORMAL_95**2
    centre = (rate + z2 / (2 * cases)) / (1 + z2 / cases)
    spread = math.sqrt(rate * (1 - rate) / cases + z2 / (4 * cases**2))
    half = _NORMAL_95 * spread / (1 + z2 / cases)
    return max(0.0, centre - half), min(1.0, centre + half)


def table(measured: Sequence[Measured]) -> str:
    """A Markdown table, for the terminal and the model cards alike."""
    lines = ["| part | measured | value | 95 % interval | bar | |", "| --- | --- | --- | --- | --- | --- |"]
    return "\n".join([*lines, *(_row(one) for one in measured)])


def _row(one: Measured) -> str:
    part, bar = one.key.split(".")[0], one.bar
    verdict = {True: "met", False: "MISSED", None: ""}[one.is_met]
    sign = "at most " if bar.unit in AT_MOST else ""
    promised = "" if bar.bar is None else sign + _text(bar.bar, bar)
    interval = f"{_text(one.low, bar)} to {_text(one.high, bar)}"
    says = f"{bar.says} ({one.cases} cases)"
    return f"| {part} | {says} | {_text(one.value, bar)} | {interval} | {promised} | {verdict} |"


def _text(value: float, bar: Bar) -> str:
    if bar.unit == "dB":
        return f"{value:.1f} dB"
    if bar.unit == "s":
        return f"{value:.2f} s"
    return f"{value:.3f}" if bar.unit == "IoU" else f"{100 * value:.1f} %"
