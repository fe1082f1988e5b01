"""Which of the decoder's four masks answer a prompt: its three guesses, or the one that is meant to be the only one."""

import numpy as np
from numpy.typing import NDArray

from modelcore.vision.sam2_input import Sam2Facts

Floats = NDArray[np.float32]


def choose(masks: Floats, expected: Floats, multimask: bool, facts: Sam2Facts) -> tuple[Floats, Floats]:
    """(prompts, 4, h, w) and (prompts, 4), the single one first, to (prompts, 3 or 1, h, w) and (prompts, 3 or 1)."""
    if multimask:
        return masks[:, 1:], expected[:, 1:]
    rows = np.arange(len(masks))
    # An unsteady single mask gives way to the best guess, as in Meta's decoder.
    steady = _stability(masks[:, 0], facts.single_mask_offset) >= facts.single_mask_stability
    chosen = np.where(steady, 0, 1 + expected[:, 1:].argmax(axis=1))
    return masks[rows, chosen][:, None], expected[rows, chosen][:, None]


def _stability(logits: Floats, offset: float) -> Floats:
    """Of masks of the decoder's size; an empty one counts as steady."""
    sparing = (logits > offset).sum(axis=(1, 2))
    generous = (logits > -offset).sum(axis=(1, 2))
    return np.where(generous > 0, sparing / np.maximum(generous, 1), 1.0).astype(np.float32)
