"""Where things are in a picture: asks Triton's `segment`, and keeps its answer by picture and question."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from modelcore.errors import ModelUnavailable
from modelcore.vision.masks import Region, from_json
from modelcore.vision.rle import decode
from modelcore.vision.stencils import Stencil, stencil_of
from orchestrator.pictures.cache import CacheObserver, Results
from orchestrator.pictures.picture import Picture
from orchestrator.tensors import Array, Arrays
from orchestrator.triton import Triton

SEGMENT_MODEL = "segment"
_BYTES_A_CORNER = 120  # two floats in a tuple in a list, as Python holds them


@dataclass(frozen=True)
class Question:
    """The optional inputs of `segment`; none of them means everything in the picture, as the family likes it best."""

    inputs: Mapping[str, Array] = field(default_factory=dict)

    @property
    def key(self) -> tuple[tuple[str, str, tuple[int, ...], bytes], ...]:
        return tuple(
            (name, str(array.dtype), array.shape, array.tobytes()) for name, array in sorted(self.inputs.items())
        )


EVERYTHING = Question()


@dataclass(frozen=True)
class FoundRegions:
    """What a question found in a picture. `key` stands for both."""

    key: tuple[object, ...]
    regions: tuple[Region, ...]

    def stencils(self) -> Iterator[Stencil]:
        """Slow: belongs in a thread. One mask of the whole picture at a time: a hundred would be gigabytes."""
        return (stencil_of(decode(region.mask), region.box) for region in self.regions)


class Regions:
    def __init__(
        self, triton: Triton, deadline_s: float, limit_bytes: int, observer: CacheObserver | None = None
    ) -> None:
        self._triton = triton
        self._deadline_s = deadline_s
        self._found: Results[FoundRegions] = Results("regions", limit_bytes, _size_bytes, observer)

    async def find(self, picture: Picture, question: Question = EVERYTHING) -> FoundRegions:
        key = (picture.sha256, question.key)
        return await self._found.get(key, lambda: self._ask(key, picture, question))

    async def _ask(self, key: tuple[object, ...], picture: Picture, question: Question) -> FoundRegions:
        inputs = {"image": np.array([picture.encoded], dtype=np.object_), **question.inputs}
        answer = await self._triton.infer(SEGMENT_MODEL, inputs, deadline_s=self._deadline_s)
        # Hundreds of outlines are megabytes of JSON.
        return FoundRegions(key, await asyncio.to_thread(_regions, answer))


def _regions(answer: Arrays) -> tuple[Region, ...]:
    try:
        return tuple(map(from_json, json.loads(answer["regions"].item())))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(SEGMENT_MODEL, f"the model {SEGMENT_MODEL} gives no usable regions") from error


def _size_bytes(found: FoundRegions) -> int:
    corners = sum(len(ring) for region in found.regions for polygon in region.polygons for ring in polygon)
    return corners * _BYTES_A_CORNER + sum(len(region.mask["counts"]) + 1024 for region in found.regions)
