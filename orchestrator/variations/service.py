"""What to paint for a variation. Knows no HTTP.

A picture that was painted here from words alone is varied in its noise: the same words, and a walk some way towards the
noise of another seed. Every other picture is painted over, as far as `strength` says.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelcore.errors import InvalidInput
from orchestrator.analyze.service import Analyze
from orchestrator.gallery.pictures import Image, Parent
from orchestrator.gallery.service import Gallery
from orchestrator.generate.order import Order
from orchestrator.pictures.callers import CallersPictures
from orchestrator.pictures.picture import accept_picture

WALK = 0.2
STRENGTH = 0.6
# Of what a picture was painted with, all that its noise is turned into a picture by.
_SAME = (
    "prompt",
    "negative_prompt",
    "steps",
    "guidance_scale",
    "width",
    "height",
    "scheduler",
    "guidance_rescale",
    "guidance_end",
    "clip_skip",
)
_NOT_FROM_NOISE_ALONE = {"strength", "variation_seed"}

Wishes = Mapping[str, Any]


class Variations:
    def __init__(self, pictures: CallersPictures, gallery: Gallery, analyze: Analyze, family: str) -> None:
        self._pictures = pictures
        self._gallery = gallery
        self._analyze = analyze
        self._family = family

    async def of_sent(self, encoded: bytes, wishes: Wishes) -> Order:
        return await self.worded(self._planned_of_sent(encoded, wishes))

    async def planned(self, owner: str, image_id: str | None, sent: bytes | None, wishes: Wishes) -> Order:
        """`wishes` are in the pipeline's words and overrule what the picture was painted with; `worded` comes next."""
        if sent is None:
            return await self._planned_of_named(owner, image_id, wishes)
        if image_id is not None:
            raise InvalidInput("send a picture or name one, not both", field="image_id")
        return self._planned_of_sent(sent, wishes)

    async def worded(self, order: Order) -> Order:
        return await worded(order, self._analyze)

    async def _planned_of_named(self, owner: str, image_id: str | None, wishes: Wishes) -> Order:
        """No id: the last one."""
        image = await (self._gallery.last(owner) if image_id is None else self._pictures.named(owner, image_id))
        if "variation_strength" in wishes or ("strength" not in wishes and self._is_from_noise(image)):
            painting = self._walk(image, wishes)
        else:
            encoded = await self._gallery.read(image)
            painting = _painted_over(encoded, {"prompt": image.prompt} | dict(wishes))
        return Order(painting, parent=Parent(image.id, "variation_of"))

    def _planned_of_sent(self, encoded: bytes, wishes: Wishes) -> Order:
        if "variation_strength" in wishes:
            raise _no_walk()
        return Order(_painted_over(encoded, wishes))

    def _is_from_noise(self, image: Image) -> bool:
        painted_with = image.params.get("parameters", {})
        return image.family == self._family and bool(painted_with) and not _NOT_FROM_NOISE_ALONE & set(painted_with)

    def _walk(self, image: Image, wishes: Wishes) -> dict[str, Any]:
        if not self._is_from_noise(image):
            raise _no_walk()
        if "strength" in wishes:
            raise InvalidInput("strength and variation_strength exclude each other", field="strength")
        same = {name: value for name, value in image.params["parameters"].items() if name in _SAME}
        way = {"variation_strength": WALK} | dict(wishes)
        return same | way | {"seed": image.seed, "variation_seed": wishes.get("seed", -1)}


async def worded(order: Order, analyze: Analyze) -> Order:
    """Without words a family paints what it likes: then they are what CLIP is surest of in the picture."""
    if order.wishes.get("prompt"):
        return order
    analysis = await analyze.analyze(accept_picture(order.wishes["init_image"]), top=1, segment=False)
    return replace(order, wishes=dict(order.wishes) | {"prompt": analysis.concepts[0].label})


def _painted_over(encoded: bytes, wishes: Wishes) -> dict[str, Any]:
    return {"strength": STRENGTH} | dict(wishes) | {"init_image": encoded}


def _no_walk() -> InvalidInput:
    return InvalidInput(
        "variation_strength is for pictures that were painted here, from words alone: send strength instead",
        field="variation_strength",
    )
