"""A picture to SAM2's features: Hiera, its pyramid, and the decoder's own 1x1 convolutions on the finer levels."""

import torch
from transformers import Sam2Model

from export.graph import GraphInput, GraphOutput
from export.network import Network
from export.sam2.pictures import drawn_picture
from export.sam2.sizes import picture_side_px


class Encoder(torch.nn.Module):
    def __init__(self, model: Sam2Model) -> None:
        super().__init__()
        self.vision = model.vision_encoder
        self.project_fine = model.mask_decoder.conv_s0
        self.project_middle = model.mask_decoder.conv_s1
        # What a film's first frame gets in place of memories; a picture is a film of one frame.
        self.no_memory = torch.nn.Buffer(model.no_memory_embedding.detach().reshape(1, -1, 1, 1))

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        fine, middle, coarse = self.vision(pixel_values).fpn_hidden_states
        return coarse + self.no_memory, self.project_fine(fine), self.project_middle(middle)


def encoder_network(model: Sam2Model) -> Network:
    side = picture_side_px(model)
    # The size is fixed in this graph, and open in config.pbtxt: other families have others.
    symbols = {0: "batch", 2: "height", 3: "width"}
    return Network(
        module=Encoder(model),
        inputs=(GraphInput("pixel_values", torch.randn(2, 3, side, side), (0,), symbols),),
        outputs=(
            GraphOutput("image_embedding", _feature("coarse")),
            GraphOutput("features_fine", _feature("fine")),
            GraphOutput("features_middle", _feature("middle")),
        ),
        cases={
            "noise, batch 1": (torch.randn(1, 3, side, side),),
            "noise, batch 3": (torch.randn(3, 3, side, side),),
            "drawn, batch 2": (torch.stack([drawn_picture(side, seed) for seed in (1, 2)]),),
        },
    )


def _feature(level: str) -> dict[int, str]:
    return {0: "batch", 1: f"{level}_channels", 2: f"{level}_height", 3: f"{level}_width"}
