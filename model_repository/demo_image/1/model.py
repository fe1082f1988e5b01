"""Shim: words to pictures in one answer. The same code serves every family."""

from typing import Any

import triton_python_backend_utils as pb_utils

from modelcore.image_stub import ImageStub


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._images = ImageStub(pb_utils, args)

    def execute(self, requests: list[Any]) -> None:
        self._images.execute(requests)

    def finalize(self) -> None:
        self._images.close()
