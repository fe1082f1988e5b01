"""Which models each part of a family becomes, and which folder and class each is made from. Imports no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelcore.catalog import served_model
from modelcore.contract import ServedModel
from modelcore.errors import SetupProblem
from modelcore.family import Architecture, Family


@dataclass(frozen=True)
class Component:
    """One model to make: from `folder` of its part ("" for the part itself), which must hold one of `classes`.

    A pipeline has no classes: it is made from what lies `beside`, the descriptions of all networks and more.
    """

    model: ServedModel
    part: str
    folder: str
    classes: frozenset[str]
    beside: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """All that must be there; the part's own folder may hold much that is not."""
        return self.beside or (self.folder,)

    @property
    def is_network(self) -> bool:
        """False for what serving reads as a file: a tokenizer, the numbers of a preprocessing."""
        return self.model.backend == "onnxruntime"


_VAE = frozenset({"AutoencoderKL"})
_PROJECTING = frozenset({"CLIPTextModelWithProjection"})
_PLAIN_OR_PROJECTING = _PROJECTING | {"CLIPTextModel"}
_UNET = frozenset({"UNet2DConditionModel"})
# Folder in the hub's layout -> the classes it may hold.
_DIFFUSION: Mapping[Architecture, Mapping[str, frozenset[str]]] = {
    "sd": {"text_encoder": frozenset({"CLIPTextModel"}), "unet": _UNET, "vae": _VAE},
    "sdxl": {
        "text_encoder": _PLAIN_OR_PROJECTING,
        "text_encoder_2": _PROJECTING,
        "unet": _UNET,
        "vae": _VAE,
    },
    "sd3": {
        "text_encoder": _PROJECTING,
        "text_encoder_2": _PROJECTING,
        "text_encoder_3": frozenset({"T5EncoderModel"}),
        "transformer": frozenset({"SD3Transformer2DModel"}),
        "vae": _VAE,
    },
}
_TOKENIZERS: Mapping[Architecture, tuple[str, ...]] = {
    "sd": ("tokenizer",),
    "sdxl": ("tokenizer", "tokenizer_2"),
    "sd3": ("tokenizer", "tokenizer_2", "tokenizer_3"),
}
_CLIP_MODELS = ("clip_tokenize", "clip_preprocess", "clip_text", "clip_image")
_CLIP = frozenset({"CLIPModel"})
# The hub's SAM2.1 weights are those of the video class; the picture class is a part of it.
_SAM2 = frozenset({"Sam2Model", "Sam2VideoModel"})


def components(family: Family) -> tuple[Component, ...]:
    return tuple(component for part in family.parts for component in _OF_PART[part](family))


def choose(family: Family, wanted: tuple[str, ...]) -> tuple[Component, ...]:
    """Those whose part or model is wanted; a model's name may leave out the family's."""
    everything = components(family)
    names = {item.model.name: {item.part, item.model.name, suffix(family, item)} for item in everything}
    for word in wanted:
        if not any(word in known for known in names.values()):
            known = ", ".join([*family.parts, *(suffix(family, item) for item in everything)])
            raise SetupProblem(f"family {family.name} has no part {word!r}; it has: {known}")
    return tuple(item for item in everything if not wanted or names[item.model.name].intersection(wanted))


def suffix(family: Family, component: Component) -> str:
    return component.model.name.removeprefix(f"{family.name}_")


def _clip(family: Family) -> tuple[Component, ...]:
    return tuple(Component(served_model(name), "clip", "", _CLIP) for name in _CLIP_MODELS)


def _sam2(family: Family) -> tuple[Component, ...]:
    from modelcore.sam2_models import SAM2_MODELS, SEGMENT

    return tuple(Component(model, "sam2", "", _SAM2) for model in (*SAM2_MODELS, SEGMENT))


def _diffusion(family: Family) -> tuple[Component, ...]:
    from modelcore.diffusion_models import diffusion_models
    from modelcore.pipeline_models import pipeline_models

    assert family.diffusion is not None  # a family file with one and not the other is refused
    architecture = family.diffusion.architecture
    networks = _DIFFUSION[architecture]
    pipeline_folders = (*networks, "scheduler", *_TOKENIZERS[architecture])
    return (
        *(
            Component(model, "diffusion", folder, networks[folder])
            for model in diffusion_models(family.name, architecture)
            for folder in [diffusion_folder(model.name.removeprefix(f"{family.name}_"))]
        ),
        *(Component(model, "diffusion", "", frozenset(), pipeline_folders) for model in pipeline_models(family.name)),
    )


def diffusion_folder(name: str) -> str:
    """A VAE's halves come from one folder; every other network has its own name for its folder."""
    return "vae" if name in {"vae_encoder", "vae_decoder"} else name


_OF_PART: Mapping[str, Callable[[Family], tuple[Component, ...]]] = {
    "clip": _clip,
    "diffusion": _diffusion,
    "sam2": _sam2,
}
