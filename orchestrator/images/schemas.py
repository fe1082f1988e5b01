"""Shapes of /images and /feedback. Times are milliseconds since 1970, as the database keeps them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.gallery.pictures import Image
from orchestrator.gallery.search import ImageFilter
from orchestrator.gallery.service import MAX_NOTE, MAX_PAGE, Lineage, Page
from orchestrator.schemas import StrictRequest

Milliseconds = Annotated[int | None, Field(ge=0, le=2**53)]
Pixels = Annotated[int | None, Field(ge=1, le=65_536)]
_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class ImagesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    search: str | None = Field(None, max_length=2_000, description="Words that the prompt must have, or their starts.")
    kind: str | None = Field(None, pattern=_NAME)
    family: str | None = Field(None, pattern=_NAME)
    feedback: int | None = Field(None, ge=-1, le=1)
    width: Pixels = None
    height: Pixels = None
    from_ms: Milliseconds = Field(None, description="Made at this time or later.")
    before_ms: Milliseconds = Field(None, description="Made before this time.")
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the page before.")
    limit: int = Field(20, ge=1, le=MAX_PAGE)

    def filter(self) -> ImageFilter:
        wanted = self.model_dump(exclude={"search", "cursor", "limit"})
        return ImageFilter(words=self.search, **wanted)


class ImageBody(BaseModel):
    """One picture of the gallery. `parameters` are all that it was made with."""

    id: str
    url: str
    created_at_ms: int
    kind: str
    prompt: str
    negative_prompt: str
    family: str
    seed: int | None
    width: int
    height: int
    media_type: str
    size_bytes: int
    parent_id: str | None
    relation: str | None
    feedback: int
    note: str
    parameters: dict[str, Any]


class ImageDetails(ImageBody):
    ancestors: list[str] = Field(description="Ids: the picture it was made from, then what that was made from.")
    children: list[str] = Field(description="Ids of what was made from it, the newest first.")


class ImagesPage(BaseModel):
    images: list[ImageBody]
    next_cursor: str | None


class FeedbackRequest(StrictRequest):
    image_id: str
    feedback: int = Field(ge=-1, le=1)
    note: str = Field("", max_length=MAX_NOTE)


def image_body(image: Image) -> ImageBody:
    return ImageBody(**_values(image))


def image_details(image: Image, lineage: Lineage) -> ImageDetails:
    ancestors, children = ([each.id for each in line] for line in (lineage.ancestors, lineage.children))
    return ImageDetails(**_values(image), ancestors=ancestors, children=children)


def images_page(page: Page) -> ImagesPage:
    return ImagesPage(images=[image_body(image) for image in page.images], next_cursor=page.next_cursor)


def _values(image: Image) -> dict[str, Any]:
    same = {name: getattr(image, name) for name in ImageBody.model_fields if name not in ("url", "parameters")}
    return same | {"url": f"/images/{image.id}/file", "parameters": image.params}
