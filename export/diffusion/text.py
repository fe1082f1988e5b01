"""Text encoders. Each gives exactly what its architecture's pipeline in diffusers reads, and nothing else.

sd: the last hidden state, and the last but one through the final norm, which is diffusers' `clip_skip=1`.
sdxl, sd3: the last but one as it is; the pooled projection where the encoder has one. T5: the last.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTextModel, CLIPTextModelWithProjection, T5EncoderModel

from export.diffusion.loading import load_part
from export.graph import GraphInput, GraphOutput
from export.network import Network

_SEQUENCE = {0: "batch", 1: "length", 2: "text_size"}
_LAST = GraphOutput("last_hidden_state", _SEQUENCE)
_LAST_BUT_ONE = GraphOutput("penultimate_hidden_state", _SEQUENCE)
_SKIPPED = GraphOutput("clip_skip_hidden_state", _SEQUENCE)
_POOLED = GraphOutput("pooled", {0: "batch", 1: "pooled_size"})
_T5_LENGTH = 256  # diffusers' max_sequence_length


class ClipOfSd(torch.nn.Module):
    def __init__(self, clip: CLIPTextModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        answer = self.clip(input_ids=input_ids, output_hidden_states=True)
        return answer.last_hidden_state, self.clip.final_layer_norm(answer.hidden_states[-2])


class ClipOfSdxl(torch.nn.Module):
    def __init__(self, clip: CLIPTextModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        states = self.clip(input_ids=input_ids, output_hidden_states=True).hidden_states
        last_but_one: torch.Tensor = states[-2]
        return last_but_one


class ClipWithProjection(torch.nn.Module):
    def __init__(self, clip: CLIPTextModelWithProjection) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        answer = self.clip(input_ids=input_ids, output_hidden_states=True)
        return answer.hidden_states[-2], answer.text_embeds


class T5(torch.nn.Module):
    def __init__(self, encoder: T5EncoderModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        last: torch.Tensor = self.encoder(input_ids=input_ids).last_hidden_state
        return last


def clip_of_sd(folder: Path) -> Network:
    clip = load_part(CLIPTextModel, folder)
    return _clip_network(ClipOfSd(clip), clip.config, (_LAST, _SKIPPED))


def clip_of_sdxl(folder: Path) -> Network:
    clip = load_part(CLIPTextModel, folder)
    return _clip_network(ClipOfSdxl(clip), clip.config, (_LAST_BUT_ONE,))


def clip_with_projection(folder: Path) -> Network:
    clip = load_part(CLIPTextModelWithProjection, folder)
    return _clip_network(ClipWithProjection(clip), clip.config, (_LAST_BUT_ONE, _POOLED))


def t5(folder: Path) -> Network:
    encoder = load_part(T5EncoderModel, folder)
    vocabulary = encoder.config.vocab_size
    shapes = ((1, _T5_LENGTH), (3, 7), (2, 77))
    return _network(T5(encoder), lambda *shape: torch.randint(1, vocabulary, shape), shapes, (_LAST,))


def _clip_network(module: torch.nn.Module, config: Any, outputs: tuple[GraphOutput, ...]) -> Network:
    shapes = ((1, config.max_position_embeddings), (5, 7))
    return _network(module, lambda *shape: _clip_ids(config, *shape), shapes, outputs)


def _network(
    module: torch.nn.Module,
    ids: Callable[[int, int], torch.Tensor],
    shapes: Sequence[tuple[int, int]],
    outputs: tuple[GraphOutput, ...],
) -> Network:
    return Network(
        module=module,
        inputs=(GraphInput("input_ids", ids(2, 6), (0, 1), {0: "batch", 1: "length"}),),
        outputs=outputs,
        cases={f"batch {rows}, length {length}": (ids(rows, length),) for rows, length in shapes},
    )


def _clip_ids(config: Any, rows: int, length: int) -> torch.Tensor:
    """As a tokenizer gives them: words, then end marks up to the full length."""
    # transformers keeps the wrong 2 of old configurations and then pools at the highest id.
    end = config.vocab_size - 1 if config.eos_token_id == 2 else config.eos_token_id
    ids = torch.randint(0, config.vocab_size - 2, (rows, length))
    ids[ids == end] = 0
    ids[:, length // 2 :] = end
    return ids
