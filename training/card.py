"""The model card beside each part's weights: data, recipe, seed, minutes, measured quality, command."""

import textwrap
from pathlib import Path

from training import scene
from training.family import Order, Part
from training.loop import Run
from training.measurement import Measured, table

_TEMPLATE = """\
---
license: apache-2.0
---

# {title}, trained from nothing on a drawn world

Part of Triptych's demo family. It knows coloured shapes on plain or textured backgrounds and nothing else;
it is here so that every pipeline can be run, and tested for meaning, with no download.

- **Data**: drawn by `training/world.py`, split `train`: 1 to 3 shapes of {shapes} kinds in {colours} colours on
  {backgrounds} backgrounds, 128 px, with captions by a grammar. Six (colour, shape) pairs and a fifth of all captions
  are kept out. Nobody else's data.
- **Recipe**: {recipe}.
- **Seed** {seed}; {steps}{minutes:.0f} minutes of processor time on {machine}.
- **Reproduce**: `triptych train demo {name} --no-resume`. **Measure again**: `triptych train demo {name} --check`.

{table}

Measured on held-out captions and scenes, on the files in this folder as they are.
"""
_CURVE = """
![The loss and what it is made of, by step](curve.png)

The numbers behind the curve: `curve.csv`.
"""


def write_card(part: Part, order: Order, run: Run, measured: list[Measured], machine: str) -> None:
    text = _TEMPLATE.format(
        title=part.title,
        name=part.name,
        recipe=textwrap.fill(part.recipe, 110, subsequent_indent="  "),
        seed=order.seed,
        steps=f"{run.done} steps, " if run.done else "",
        minutes=run.minutes,
        machine=machine,
        table=table(measured),
        shapes=len(scene.SHAPES),
        colours=len(scene.COLOURS),
        backgrounds=len(scene.BACKGROUNDS),
    )
    folder: Path = order.weights_folder
    (folder / "README.md").write_text(text + (_CURVE if run.curve.points else ""))
    run.curve.write(folder, part.name)
