"""Shim: Triton's requests to modelcore.images and modelcore.vision.clip and back."""

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from modelcore import stub
from modelcore.images import PictureLimits, decode
from modelcore.vision.clip import ClipPreprocessing, preprocess


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._names = stub.input_names(args)
        folder = stub.version_folder(args)
        self._spec = ClipPreprocessing.load(folder)
        self._weights = stub.weights_of(folder)
        self._limits = PictureLimits()

    def execute(self, requests: list[Any]) -> list[Any]:
        return stub.answer_each(pb_utils, requests, self._names, self._preprocess)

    def _preprocess(self, arrays: stub.Arrays) -> stub.Arrays:
        # One at a time: a decoded picture may be 50 MB, what is left of it a few kB.
        pictures = (decode(bytes(data), self._limits) for data in arrays["image"].reshape(-1))
        pixels = np.stack([preprocess(picture, self._spec) for picture in pictures])
        return {"pixel_values": pixels, "weights": stub.column(self._weights, len(pixels))}
