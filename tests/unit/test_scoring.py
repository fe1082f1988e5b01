"""Scores against transformers' own CLIP and closed forms."""

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from modelcore.vision.scoring import confidences, cosines, one_per_label, strongest


def unit(rows: int, width: int = 24, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    vectors = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_confidences_are_the_softmax_of_transformers_logits() -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**shape, "vocab_size": 99, "max_position_embeddings": 8, "eos_token_id": 98}
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config={**shape, "image_size": 16, "patch_size": 8})).eval()
    with torch.inference_mode():
        answer = clip(input_ids=torch.randint(0, 98, (5, 8)), pixel_values=torch.randn(3, 3, 16, 16))
        wanted = answer.logits_per_image.softmax(dim=1).numpy()
        scale = float(clip.logit_scale.exp())
    got = confidences(answer.image_embeds.numpy(), answer.text_embeds.numpy(), scale)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_confidences_stay_finite_at_the_largest_scale() -> None:
    shares = confidences(unit(2), unit(5, seed=1), 1e4)
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)


def test_a_vector_is_wholly_like_itself() -> None:
    vectors = unit(3)
    np.testing.assert_allclose(np.diag(cosines(vectors, vectors)), 1, atol=1e-6)
    assert cosines(vectors, vectors).max() <= 1


def test_a_labels_sentences_become_their_mean_direction() -> None:
    sentences = np.array([[1, 0], [0, 1], [0, -1], [0, -1]], np.float32)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(one_per_label(sentences, 2), [[half, half], [0, -1]], atol=1e-6)


@pytest.mark.parametrize(("count", "wanted"), [(1, [[1]]), (2, [[1, 0]]), (9, [[1, 0, 2]])])
def test_the_strongest_come_first_and_no_more_than_there_are(count: int, wanted: list[list[int]]) -> None:
    assert strongest(np.array([[0.3, 0.5, 0.2]], np.float32), count).tolist() == wanted


def test_equal_scores_keep_their_order() -> None:
    assert strongest(np.array([[0.25, 0.5, 0.25]], np.float32), 3).tolist() == [[1, 0, 2]]
