"""What turns latents into a rough small picture: one matrix, given by the family's file. Knows no latents."""

from dataclasses import dataclass

from modelcore.strict_toml import Table

Colour = tuple[float, float, float]  # red, green, blue


@dataclass(frozen=True)
class PreviewColours:
    """colour = latents x latent_to_rgb + bias, -1 to 1."""

    latent_to_rgb: tuple[Colour, ...]  # one for each channel of the latents
    bias: Colour = (0.0, 0.0, 0.0)


def read_preview_colours(table: Table) -> PreviewColours:
    table.only("latent_to_rgb", "bias")
    rows = table.values.get("latent_to_rgb")
    if not isinstance(rows, list) or not rows:
        raise table.problem("latent_to_rgb", f"latent_to_rgb must be a list with a colour per latent channel: {rows!r}")
    return PreviewColours(
        latent_to_rgb=tuple(_colour(table, "latent_to_rgb", row) for row in rows),
        bias=_colour(table, "bias", table.values.get("bias", [0.0, 0.0, 0.0])),
    )


def _colour(table: Table, key: str, values: object) -> Colour:
    if not isinstance(values, list) or len(values) != 3 or not all(_is_finite_number(value) for value in values):
        raise table.problem(key, f"a colour of {key} must be [red, green, blue], three numbers: {values!r}")
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
