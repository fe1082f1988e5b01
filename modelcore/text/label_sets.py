"""Lists of words that a picture is compared with, and the sentences that ask for them. Knows no model and no vector.

CLIP learnt captions, not words: each label is put into one or more templates, and what its sentences have in common is
what the label means.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from modelcore.errors import InvalidInput, NotFound
from modelcore.text.limits import TextLimits, check_text

MAX_LABELS_A_REQUEST = 256
_LABEL_LIMITS = TextLimits(max_characters=200, max_bytes=800)
_ECHO_LIMIT = 64
_DETERMINERS = ("a", "an", "the")

PHOTO = ("a photo of {a}{label}.",)
PLAIN = ("{a}{label}",)


@dataclass(frozen=True)
class LabelSet:
    """`name` says where it is from; two sets are the same only where labels and templates are."""

    name: str
    labels: tuple[str, ...]
    templates: tuple[str, ...]

    def prompts(self) -> list[str]:
        """Label by label, every template: labels x templates."""
        return [sentence(template, label) for label in self.labels for template in self.templates]


def sentence(template: str, label: str) -> str:
    """`{a}` is the label's article where it brings none of its own."""
    article = "an " if label[:1].lower() in tuple("aeiou") else "a "
    has_its_own = label.split(" ", 1)[0].lower() in _DETERMINERS
    return template.format(a="" if has_its_own else article, label=label)


def label_set(name: str) -> LabelSet:
    if name not in LABEL_SETS:
        known = ", ".join(sorted(LABEL_SETS))
        shown = name if len(name) <= _ECHO_LIMIT else f"{name[:_ECHO_LIMIT]}…"
        raise NotFound(f"there is no label set {shown!r}; there are: {known}", field="labels")
    return LABEL_SETS[name]


def prompts_of_word(word: str, default: LabelSet) -> list[str]:
    """How to ask for one word: as the default set, or one of the same world, asks for it; else just as it stands."""
    for known in (default, *LABEL_SETS.values()):
        if known.name.split("-")[0] == default.name.split("-")[0] and word in known.labels:
            return [sentence(template, word) for template in known.templates]
    return [word]


def own_label_set(labels: Sequence[str], templates: tuple[str, ...]) -> LabelSet:
    """A caller's list. Two equal labels would share their confidence between them, so they are refused."""
    if not 1 <= len(labels) <= MAX_LABELS_A_REQUEST:
        raise InvalidInput(f"labels must be 1 to {MAX_LABELS_A_REQUEST} texts: {len(labels)}", field="labels")
    cleaned = tuple(_cleaned(label, f"labels[{place}]") for place, label in enumerate(labels))
    first_places: dict[str, int] = {}
    for place, label in enumerate(cleaned):
        first = first_places.setdefault(label.casefold(), place)
        if first != place:
            raise InvalidInput(f"labels[{place}] is labels[{first}] again", field=f"labels[{place}]")
    return LabelSet("own", cleaned, templates)


def _cleaned(label: str, field: str) -> str:
    cleaned = " ".join(label.split())
    if not cleaned:
        raise InvalidInput(f"{field} must not be empty", field=field)
    check_text(cleaned, _LABEL_LIMITS, field)
    return cleaned


_CIFAR100 = """
apple,aquarium fish,baby,bear,beaver,bed,bee,beetle,bicycle,bottle,bowl,boy,bridge,bus,butterfly,camel,can,castle,
caterpillar,cattle,chair,chimpanzee,clock,cloud,cockroach,couch,crab,crocodile,cup,dinosaur,dolphin,elephant,flatfish,
forest,fox,girl,hamster,house,kangaroo,keyboard,lamp,lawn mower,leopard,lion,lizard,lobster,man,maple tree,motorcycle,
mountain,mouse,mushroom,oak tree,orange,orchid,otter,palm tree,pear,pickup truck,pine tree,plain,plate,poppy,porcupine,
possum,rabbit,raccoon,ray,road,rocket,rose,sea,seal,shark,shrew,skunk,skyscraper,snail,snake,spider,squirrel,streetcar,
sunflower,sweet pepper,table,tank,telephone,television,tiger,tractor,train,trout,tulip,turtle,wardrobe,whale,
willow tree,wolf,woman,worm
"""
# The drawn world that the demo family was trained on; a test compares them with the world's own.
_COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
_SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
_PAIRS = tuple(f"{colour} {shape}" for colour in _COLOURS for shape in _SHAPES)

LABEL_SETS = {
    known.name: known
    for known in (
        LabelSet("cifar100", tuple(_CIFAR100.replace("\n", "").split(",")), PHOTO),
        LabelSet("demo", _PAIRS, PLAIN),
        # The demo family never read a colour or a shape alone.
        LabelSet("demo-colours", _COLOURS, tuple(f"{{a}}{{label}} {shape}" for shape in _SHAPES)),
        LabelSet("demo-shapes", _SHAPES, tuple(f"{sentence('{a}{label}', colour)} {{label}}" for colour in _COLOURS)),
    )
}
