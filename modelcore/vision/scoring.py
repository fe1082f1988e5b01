"""From CLIP's vectors to answers: how well words fit pictures. Arrays in, arrays out; knows no model and no word."""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def one_per_label(sentences: Vectors, labels: int) -> Vectors:
    """(labels * templates, width) -> (labels, width): the mean direction of each label's sentences, of unit length."""
    means = sentences.reshape(labels, -1, sentences.shape[-1]).mean(axis=1)
    directions: Vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
    return directions


def cosines(pictures: Vectors, words: Vectors) -> Vectors:
    """(pictures, words). Both are of unit length, as CLIP's served towers give them."""
    return np.clip(pictures @ words.T, -1.0, 1.0)


def confidences(pictures: Vectors, words: Vectors, logit_scale: float) -> Vectors:
    """(pictures, words): a picture's confidences sum to 1. The scale is the one that the network learnt with."""
    logits = logit_scale * cosines(pictures, words)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Vectors = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares


def strongest(scores: Vectors, count: int) -> NDArray[np.intp]:
    """(pictures, count): the best words' places, best first; equal ones in their own order."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]
