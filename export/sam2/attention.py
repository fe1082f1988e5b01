"""The halves of transformers' Sam2Attention, for where one side of it was computed before. Needs no equal batches."""

import torch
from transformers.models.sam2.modeling_sam2 import Sam2Attention


def split_heads(attention: Sam2Attention, projected: torch.Tensor) -> torch.Tensor:
    """(rows, tokens, size) -> (rows, heads, tokens, size of a head)."""
    rows, tokens, _ = projected.shape
    return projected.view(rows, tokens, attention.num_attention_heads, attention.head_dim).transpose(1, 2)


def attend(
    attention: Sam2Attention, scaled_queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """Keys come transposed. Whichever side has a single row serves all rows of the other."""
    weights = torch.softmax(scaled_queries @ keys, dim=-1)
    read: torch.Tensor = attention.o_proj((weights @ values).transpose(1, 2).flatten(2))
    return read
