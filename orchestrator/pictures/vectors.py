"""Pictures and their regions as CLIP sees them: each encoded once, all regions of a picture in one call."""

import asyncio
from io import BytesIO

from PIL import Image

from modelcore.vision.crops import CropRule, crop_region
from orchestrator.pictures.cache import CacheObserver, Results
from orchestrator.pictures.clip import Clip, ImageVectors, Vectors
from orchestrator.pictures.picture import Picture
from orchestrator.pictures.regions import FoundRegions

# Measured (docs/log.md): as quick as sending the network's own pixels, which would need the family's preprocessing
# here, at a tenth of their bytes; PNG took two to six times as long. It moves an embedding by 5e-5 at most.
_CROP_JPEG = {"quality": 95, "subsampling": 0}


class PictureVectors:
    def __init__(self, clip: Clip, rule: CropRule, limit_bytes: int, observer: CacheObserver | None = None) -> None:
        self._clip = clip
        self._rule = rule
        self.cache: Results[ImageVectors] = Results("vectors", limit_bytes, lambda kept: kept.vectors.nbytes, observer)

    async def whole(self, picture: Picture) -> ImageVectors:
        """(1, width)."""
        return await self.cache.get(("whole", picture.sha256), lambda: self._clip.pictures([picture.encoded]))

    async def regions(self, picture: Picture, found: FoundRegions) -> Vectors:
        """(regions, width); there must be some."""
        return (await self.cache.get(("regions", found.key), lambda: self._encode(picture, found))).vectors

    async def _encode(self, picture: Picture, found: FoundRegions) -> ImageVectors:
        crops = await asyncio.to_thread(encoded_crops, picture, found, self._rule)
        return await self._clip.pictures(crops)


def encoded_crops(picture: Picture, found: FoundRegions, rule: CropRule) -> list[bytes]:
    pixels = picture.decoded()
    return [_jpeg(crop_region(pixels, stencil, rule)) for stencil in found.stencils()]


def _jpeg(crop: Image.Image) -> bytes:
    buffer = BytesIO()
    crop.save(buffer, format="JPEG", **_CROP_JPEG)
    return buffer.getvalue()
