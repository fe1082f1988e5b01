"""Random inputs of the decoder, to prove an export with: features of a picture, and prompts as points with labels."""

import torch
from transformers import Sam2Model

from export.sam2.sizes import embedding_shape, picture_side_px

# A box is two points: its top left and bottom right corner.
CORNER_LABELS = (2, 3)
CORNERS = len(CORNER_LABELS)


def random_prompts(model: Sam2Model, prompts: int, points: int, *, box: bool = False) -> tuple[torch.Tensor, ...]:
    """(prompts, points, 2) in pixels and (prompts, points); with `box` the last two points are a box's corners."""
    places = torch.rand(prompts, points, 2) * (picture_side_px(model) - 1)
    labels = torch.randint(0, 2, (prompts, points))
    if box:
        places[:, -CORNERS:] = places[:, -CORNERS:].sort(dim=1).values
        labels[:, -CORNERS:] = torch.tensor(CORNER_LABELS)
    return places, labels


def random_features(model: Sam2Model) -> tuple[torch.Tensor, ...]:
    """As the encoder gives them: image embedding, fine and middle features of one picture."""
    channels, height, width = embedding_shape(model)
    return (
        torch.randn(1, channels, height, width),
        torch.randn(1, channels // 8, 4 * height, 4 * width),
        torch.randn(1, channels // 4, 2 * height, 2 * width),
    )
