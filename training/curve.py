"""A learning curve: points in a CSV file, and the same drawn as a PNG."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no display: must come before pyplot
from matplotlib import pyplot

Point = dict[str, float]


@dataclass
class Curve:
    points: list[Point] = field(default_factory=list)

    def add(self, step: int, seconds: float, values: Point) -> None:
        self.points.append({"step": step, "seconds": round(seconds, 1), **values})

    def write(self, folder: Path, title: str) -> None:
        if not self.points:
            return
        names = list(dict.fromkeys(name for point in self.points for name in point))
        with (folder / "curve.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows({k: f"{v:.5g}" for k, v in point.items()} for point in self.points)
        self._draw(folder / "curve.png", title, names[2:])

    def _draw(self, path: Path, title: str, names: list[str]) -> None:
        figure, axes = pyplot.subplots(figsize=(7, 4), dpi=80)
        for name in names:
            points = [point for point in self.points if name in point]
            axes.plot([p["step"] for p in points], [p[name] for p in points], label=name, lw=1)
        axes.set(title=title, xlabel="step", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend()
        figure.tight_layout()
        figure.savefig(path)
        pyplot.close(figure)
