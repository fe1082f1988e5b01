"""The pooling of the words in a UNet that adds them to its time embedding (`addition_embed_type="text"`), row by row.

diffusers' own takes the mean over the words, which becomes ONNX Runtime's ReduceMean; and that adds up the numbers of a
lone row in another order than those of several, so that a picture would come out different alone and in company (by
1e-6 a step: ONNX Runtime 1.31, CPU). As a product of matrices the mean is computed for each row by itself.
"""

import torch
from diffusers.models.embeddings import AttentionPooling, TextTimeEmbedding
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


def pool_row_by_row(unet: UNet2DConditionModel) -> None:
    added = getattr(unet, "add_embedding", None)
    if isinstance(added, TextTimeEmbedding):
        added.add_module("pool", PoolingByRow(added.pool))


class PoolingByRow(torch.nn.Module):
    """Attention from the mean of the words, and its place, to that mean and each word."""

    def __init__(self, pool: AttentionPooling) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        ones = torch.ones_like(words[:, :, :1]).transpose(1, 2)  # (rows, 1, length)
        asking = ones @ words / words.shape[1] + self.pool.positional_embedding
        known = torch.cat([asking, words], dim=1)  # (rows, 1 + length, width)
        query, key, value = self.pool.q_proj(asking), self.pool.k_proj(known), self.pool.v_proj(known)
        answer = torch.nn.functional.scaled_dot_product_attention(
            self._heads(query), self._heads(key), self._heads(value)
        )
        return answer.flatten(1)  # (rows, heads, 1, width of a head) -> (rows, width)

    def _heads(self, array: torch.Tensor) -> torch.Tensor:
        """(rows, length, width) -> (rows, heads, length, width of a head)"""
        heads = array.reshape(array.shape[0], -1, self.pool.num_heads, self.pool.dim_per_head)
        return heads.transpose(1, 2)
