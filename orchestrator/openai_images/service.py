"""Pictures made, edited and varied for OpenAI's clients, on top of Generate. Knows no HTTP."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from modelcore.errors import NotFound
from modelcore.family import Diffusion
from orchestrator.gallery.pictures import Image
from orchestrator.generate.order import Order
from orchestrator.generate.painter import Step
from orchestrator.generate.service import Generate, Generated
from orchestrator.openai_images.edits import read_edit
from orchestrator.openai_images.schemas import EditRequest, PaintRequest, VariationRequest
from orchestrator.openai_images.usage import PromptTokens, Usage, usage_of
from orchestrator.openai_images.wishes import named_as_asked
from orchestrator.variations.service import Variations


@dataclass(frozen=True)
class Made:
    images: Sequence[Image]
    pictures: Sequence[bytes]  # the encoded files, in the same order
    prompt: str
    warnings: Sequence[str]
    usage: Usage | None


# See `generate.service.OnAdding`.
OnAdding = Callable[[AsyncConnection, Made], Awaitable[None]]


async def nothing_more(connection: AsyncConnection, made: Made) -> None:
    """To be written beside the pictures."""


class OpenAIImages:
    def __init__(
        self,
        generate: Generate,
        variations: Variations,
        tokens: PromptTokens,
        diffusion: Diffusion | None,
    ) -> None:
        self._generate = generate
        self._variations = variations
        self._tokens = tokens
        self._diffusion = diffusion

    async def generation(self, wishes: PaintRequest) -> Order:
        return _order(wishes.painting(self._checked(wishes)))

    async def edit(self, wishes: EditRequest, image: bytes, mask: bytes | None) -> Order:
        painting = wishes.painting(self._checked(wishes))
        edit = await asyncio.to_thread(read_edit, image, mask, wishes.wanted_size)
        painting["init_image"] = edit.init_image
        if edit.mask_image is not None:
            painting |= {"mask_image": edit.mask_image, "keep_unmasked": True}
        return _order(painting)

    async def variation(self, wishes: VariationRequest, image: bytes) -> Order:
        self._generate.check_model(wishes.model)
        shaped = (await asyncio.to_thread(read_edit, image, None, wishes.wanted_size)).init_image
        told = wishes.wishes() | wishes.model_dump(include={"prompt", "strength"}, exclude_none=True)
        return replace(await self._variations.of_sent(shaped, told), analyze=False)

    async def events(
        self, owner: str, order: Order, on_adding: OnAdding = nothing_more
    ) -> AsyncGenerator[Step | Made, None]:
        """Every step, then what came of it. Closing it early stops the painting within a step."""
        text_tokens = await self._tokens.count(order.prompt)

        async def on_generated(connection: AsyncConnection, generated: Generated) -> None:
            await on_adding(connection, _made(order, generated, text_tokens))

        with named_as_asked():
            async with aclosing(self._generate.events(owner, order, on_generated)) as events:
                async for event in events:
                    yield event if isinstance(event, Step) else _made(order, event, text_tokens)

    def _checked(self, wishes: PaintRequest) -> Diffusion:
        self._generate.check_model(wishes.model)
        wishes.check_stream()
        if self._diffusion is None:
            raise NotFound("the family that is served makes no pictures", field="model")
        return self._diffusion


def _made(order: Order, generated: Generated, text_tokens: int | None) -> Made:
    usage = usage_of(text_tokens, generated.images, is_from_picture="init_image" in order.wishes)
    return Made(generated.images, generated.pictures, order.prompt, generated.warnings, usage)


def _order(wishes: Mapping[str, Any]) -> Order:
    return Order(wishes, analyze=False)
