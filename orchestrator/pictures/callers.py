"""Which picture a request is about. Another caller's is as if it did not exist. Knows no HTTP."""

import re
from collections.abc import Mapping

from modelcore.errors import InvalidInput, NotFound
from orchestrator.gallery.pictures import Image
from orchestrator.gallery.service import Gallery
from orchestrator.pictures.picture import Picture, accept_picture

_IMAGE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class CallersPictures:
    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    async def picture(self, owner: str, image_id: str | None, sent: bytes | None) -> Picture:
        """The one that was sent, which is not kept; or the one that was named; or the newest."""
        return (await self.chosen(owner, image_id, sent))[0]

    async def chosen(self, owner: str, image_id: str | None, sent: bytes | None) -> tuple[Picture, str | None]:
        """And its id, where it has one."""
        if sent is not None and image_id is not None:
            raise InvalidInput("send a picture or name one, not both", field="image_id")
        if sent is not None:
            return accept_picture(sent), None
        image = await (self._gallery.last(owner) if image_id is None else self.named(owner, image_id))
        return accept_picture(await self._gallery.read(image)), image.id

    async def start(self, owner: str, image_id: str | None, sent: Mapping[str, bytes]) -> dict[str, bytes]:
        """What a painting starts from, by the names of the pipeline's inputs: sent, but for one that may be named."""
        if image_id is None:
            return dict(sent)
        picture, _ = await self.chosen(owner, image_id, sent.get("init_image"))
        return dict(sent) | {"init_image": picture.encoded}

    async def named(self, owner: str, image_id: str) -> Image:
        check_image_id(image_id)
        return await self._gallery.get(owner, image_id)


def check_image_id(image_id: str) -> None:
    """What is no id of ours is no picture either; a database need not see it."""
    if not _IMAGE_ID.fullmatch(image_id):
        raise NotFound("there is no such picture", field="image_id")
