"""What the REST service needs of families/<name>/family.toml. Never looks for weights: where it runs there are none."""

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from modelcore.family import FAMILY_FILE, Concepts, Diffusion, read_diffusion
from modelcore.strict_toml import read_toml


def read_concepts(families: Path, name: str) -> Concepts:
    """How this family's CLIP is to be asked; a family that says nothing of it gets the defaults."""
    path = families / name / FAMILY_FILE
    table = read_toml(path).table("concepts")
    try:
        # As JSON, since only there pydantic is strict with numbers and yet makes a dataclass of a table.
        return TypeAdapter(Concepts).validate_json(json.dumps(table.values, default=str), strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        raise table.problem(key, f"{key}: {first['msg']}") from error


def read_painting(families: Path, name: str) -> Diffusion | None:
    """What this family can paint, if it paints at all."""
    path = families / name / FAMILY_FILE
    return read_diffusion(path) if "architecture" in read_toml(path) else None
