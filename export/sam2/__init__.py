"""SAM2 as three networks: the picture's features, what the decoder needs of them, and masks for prompts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from transformers import Sam2Model

from export.network import Network
from export.sam2.decoder import decoder_network
from export.sam2.encoder import encoder_network
from export.sam2.prepare import prepare_network
from export.sam2.proof import prove_split
from export.sam2.source import load_sam2

_Made = TypeVar("_Made")


def build_encoder(folder: Path) -> Network:
    return _seeded(encoder_network, load_sam2(folder))


def build_prepare(folder: Path) -> Network:
    return _seeded(prepare_network, load_sam2(folder))


def build_decoder(folder: Path) -> Network:
    model = load_sam2(folder)
    _seeded(prove_split, model)  # parity will compare the graph with our decoder: that one must be right first
    return _seeded(decoder_network, model)


# By served model; docs/decisions/0004-sam2-split.md says why there are three.
BUILDERS: Mapping[str, Callable[[Path], Network]] = {
    "sam2_encoder": build_encoder,
    "sam2_prepare": build_prepare,
    "sam2_decoder": build_decoder,
}


def _seeded(make: Callable[[Sam2Model], _Made], model: Sam2Model) -> _Made:
    """Every export proves itself with the same numbers."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return make(model)
