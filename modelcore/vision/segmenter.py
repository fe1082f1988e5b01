"""One request to `segment`, from the picture's bytes to masks: a picture is encoded once, prompts whenever they come.

Is given SAM2's three networks as functions. Knows no server.
"""

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modelcore.errors import InvalidInput
from modelcore.images import PictureLimits, check_header, decode
from modelcore.vision.automatic import Crop, Found, find_everything, measure
from modelcore.vision.automatic_parameters import PARAMETERS, PARAMETERS_OF_PROMPTS, AutomaticParameters
from modelcore.vision.embedding_cache import EmbeddingCache
from modelcore.vision.multimask import choose
from modelcore.vision.prompts import PROMPT_INPUTS, PromptGroup, Prompts, read_prompts, to_network
from modelcore.vision.sam2_input import Sam2Facts, preprocess

Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]
Call = Callable[[Arrays], Mapping[str, NDArray[Any]]]

_TURNED = range(5, 9)  # EXIF orientations that swap width and height
_MAX_LOGIT = np.float32(32)  # Meta returns earlier masks within this, and trained on such


@dataclass(frozen=True)
class Sam2Networks:
    encode: Call
    prepare: Call
    decode: Call


@dataclass(frozen=True)
class SeenPicture:
    """All that prompts need of a picture, or of a crop of it."""

    embedding: Floats
    features: Mapping[str, Floats]
    prepared: Mapping[str, Floats]  # without earlier masks

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in (self.embedding, *self.features.values(), *self.prepared.values()))


@dataclass(frozen=True)
class Segmented:
    found: Found
    prompt: NDArray[np.int64] | None  # of each mask; none for automatic ones
    low_res_masks: Floats  # (masks, h, w), of prompts only


class Segmenter:
    """May be asked by many threads at once."""

    def __init__(
        self,
        networks: Sam2Networks,
        facts: Sam2Facts,
        cache: EmbeddingCache[SeenPicture],
        executor: Executor,
        limits: PictureLimits | None = None,
    ) -> None:
        self._networks = networks
        self._facts = facts
        self._cache = cache
        self._executor = executor
        self._limits = limits or PictureLimits()
        self._defaults = AutomaticParameters(**facts.automatic)

    def segment(self, arrays: Arrays, go_on: Callable[[], None] = lambda: None) -> Segmented:
        """`go_on` is called before each part of the work on automatic masks, by any thread; it may raise."""
        data = _only_picture(arrays)
        width, height = _size(data, self._limits)
        prompts = read_prompts(arrays, width, height, self._facts)
        parameters = self._parameters(arrays, prompts)
        multimask = "multimask" not in arrays or bool(arrays["multimask"].reshape(-1)[0])
        # The picture is looked at last: a request that is refused has cost no network anything.
        seen = self._cache.get(hashlib.sha256(data).digest(), lambda: self._see(decode(data, self._limits)))
        if prompts is None:
            found = self._everything(data, seen, width, height, parameters, multimask, go_on)
            side = self._facts.mask_side_px
            return Segmented(found, None, np.zeros((0, side, side), np.float32))
        return self._pointed_at(prompts, seen, width, height, parameters, multimask)

    def _parameters(self, arrays: Arrays, prompts: Prompts | None) -> AutomaticParameters:
        for name in PARAMETERS:
            if prompts is not None and name in arrays and name not in PARAMETERS_OF_PROMPTS:
                raise InvalidInput(f"{name} is for automatic masks, which come without prompts", field=name)
        return self._defaults.with_inputs(arrays)

    def _see(self, picture: Image.Image) -> SeenPicture:
        features = dict(self._networks.encode({"pixel_values": preprocess(picture, self._facts)[None]}))
        embedding = features.pop("image_embedding")
        return SeenPicture(embedding, features, self._prepare(embedding, None))

    def _prepare(self, embedding: Floats, masks: Floats | None) -> Mapping[str, Floats]:
        side = self._facts.mask_side_px
        given = np.zeros((1, side, side), np.float32) if masks is None else masks
        has_mask = np.full(len(given), masks is not None)
        return self._networks.prepare(
            {"image_embedding": embedding, "mask_input": given[:, None], "has_mask": has_mask}
        )

    def _everything(
        self,
        data: bytes,
        seen: SeenPicture,
        width: int,
        height: int,
        parameters: AutomaticParameters,
        multimask: bool,
        go_on: Callable[[], None],
    ) -> Found:
        whole = (0, 0, width, height)
        picture = decode(data, self._limits) if parameters.crop_n_layers else None

        def open_crop(crop: Crop) -> Callable[[Floats], tuple[Floats, Floats]]:
            go_on()
            crop_seen = seen if picture is None or crop == whole else self._see(picture.crop(crop))

            def click(clicks: Floats) -> tuple[Floats, Floats]:
                go_on()
                return self._click(crop_seen, clicks, crop, multimask)

            return click

        return find_everything(open_crop, width, height, parameters, self._executor)

    def _click(self, seen: SeenPicture, clicks: Floats, crop: Crop, multimask: bool) -> tuple[Floats, Floats]:
        points = to_network(clicks[:, None], crop[2] - crop[0], crop[3] - crop[1], self._facts)
        labels = np.ones(points.shape[:2], np.int64)
        return self._ask(seen, seen.prepared, points, labels, multimask)

    def _pointed_at(
        self,
        prompts: Prompts,
        seen: SeenPicture,
        width: int,
        height: int,
        parameters: AutomaticParameters,
        multimask: bool,
    ) -> Segmented:
        groups = list(prompts.groups(width, height, self._facts))
        answers = [self._ask_group(seen, group, multimask) for group in groups]
        logits, expected = (np.concatenate([answer[part] for answer in answers]) for part in (0, 1))
        asked = np.concatenate([group.prompts for group in groups])
        prompt = np.repeat(asked, expected.shape[1])
        logits, expected = logits.reshape(-1, *logits.shape[2:]), expected.reshape(-1)
        order = np.lexsort((-expected, prompt))  # prompt by prompt, the best first
        logits, expected = logits[order], expected[order]
        runs, stability = measure(logits, width, height, parameters)
        found = Found(runs, expected, stability, np.zeros((len(expected), 2), np.float32))
        return Segmented(found, prompt[order], np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT))

    def _ask_group(self, seen: SeenPicture, group: PromptGroup, multimask: bool) -> tuple[Floats, Floats]:
        prepared = seen.prepared if group.masks is None else self._prepare(seen.embedding, group.masks)
        return self._ask(seen, prepared, group.points, group.labels, multimask)

    def _ask(
        self,
        seen: SeenPicture,
        prepared: Mapping[str, Floats],
        points: Floats,
        labels: NDArray[np.int64],
        multimask: bool,
    ) -> tuple[Floats, Floats]:
        answer = self._networks.decode({**prepared, **seen.features, "points": points, "labels": labels})
        return choose(answer["masks"], answer["iou_scores"], multimask, self._facts)


def is_automatic(arrays: Arrays) -> bool:
    return not any(name in arrays for name in PROMPT_INPUTS)


def _only_picture(arrays: Arrays) -> bytes:
    pictures = arrays["image"].reshape(-1)
    if len(pictures) != 1:
        raise InvalidInput(f"image must be one encoded picture: {len(pictures)}", field="image")
    return bytes(pictures[0])


def _size(data: bytes, limits: PictureLimits) -> tuple[int, int]:
    """As it is when it stands upright."""
    file = check_header(data, limits)
    turned = file.orientation in _TURNED
    return (file.height_px, file.width_px) if turned else (file.width_px, file.height_px)
