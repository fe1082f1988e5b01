"""Label sets, their sentences, and the lists that callers send."""

import pytest

from modelcore.errors import InvalidInput, NotFound
from modelcore.family import Concepts, family_names, read_family
from modelcore.text.label_sets import (
    LABEL_SETS,
    MAX_LABELS_A_REQUEST,
    PHOTO,
    PLAIN,
    LabelSet,
    label_set,
    own_label_set,
    prompts_of_word,
    sentence,
)
from training.scene import COLOURS, SHAPES
from triptych.project import FAMILIES


def test_cifar_has_its_hundred_names_in_order() -> None:
    labels = label_set("cifar100").labels
    assert (len(labels), labels[0], labels[1], labels[-1]) == (100, "apple", "aquarium fish", "worm")
    assert list(labels) == sorted(set(labels))


def test_the_demo_sets_are_the_drawn_worlds_own() -> None:
    assert label_set("demo-colours").labels == COLOURS
    assert label_set("demo-shapes").labels == SHAPES
    assert label_set("demo").labels == tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)


def test_every_family_names_a_set_that_is_there() -> None:
    named = {read_family(FAMILIES / name).concepts.labels for name in family_names(FAMILIES)}
    assert named | {Concepts().labels} <= set(LABEL_SETS)


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("red circle", "a photo of a red circle."),
        ("apple", "a photo of an apple."),
        ("the sea", "a photo of the sea."),
        ("an owl", "a photo of an owl."),
        ("thesis", "a photo of a thesis."),
    ],
)
def test_a_label_gets_the_article_it_needs(label: str, told: str) -> None:
    assert sentence(PHOTO[0], label) == told


def test_prompts_go_label_by_label() -> None:
    two = LabelSet("two", ("cat", "owl"), ("{a}{label}", "one {label}"))
    assert two.prompts() == ["a cat", "one cat", "an owl", "one owl"]


def test_colours_are_asked_for_with_every_shape() -> None:
    prompts = LabelSet("demo-colours", ("orange",), label_set("demo-colours").templates).prompts()
    assert prompts == [f"an orange {shape}" for shape in SHAPES]


def test_shapes_are_asked_for_with_every_colour() -> None:
    prompts = LabelSet("demo-shapes", ("star",), label_set("demo-shapes").templates).prompts()
    assert prompts[:2] == ["a red star", "an orange star"]


def test_a_word_of_the_familys_world_is_asked_for_as_the_world_does() -> None:
    assert prompts_of_word("red", label_set("demo")) == [f"a red {shape}" for shape in SHAPES]
    assert prompts_of_word("apple", label_set("cifar100")) == ["a photo of an apple."]


def test_any_other_word_is_asked_for_as_it_stands() -> None:
    assert prompts_of_word("metal", label_set("demo")) == ["metal"]
    assert prompts_of_word("red", label_set("cifar100")) == ["red"]


def test_an_own_list_keeps_its_order_and_loses_its_stray_spaces() -> None:
    assert own_label_set(["  a  cat ", "dog"], PLAIN).labels == ("a cat", "dog")


@pytest.mark.parametrize(
    ("labels", "field"),
    [
        ([], "labels"),
        ([f"label {number}" for number in range(MAX_LABELS_A_REQUEST + 1)], "labels"),
        (["cat", "  "], "labels[1]"),
        (["cat", "dog", "Cat"], "labels[2]"),
        (["x" * 201], "labels[0]"),
    ],
)
def test_a_bad_list_names_its_place(labels: list[str], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        own_label_set(labels, PLAIN)
    assert caught.value.field == field


def test_an_unknown_set_is_told_with_those_that_are_known() -> None:
    with pytest.raises(NotFound, match="cifar100, demo, demo-colours, demo-shapes"):
        label_set("imagenet")
