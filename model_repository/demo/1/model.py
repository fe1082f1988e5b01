"""Shim: words to pictures, telling of every step. The same code serves every family."""

from typing import Any

import triton_python_backend_utils as pb_utils

from modelcore.pipeline_stub import PipelineStub


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._pipeline = PipelineStub(pb_utils, args)

    def execute(self, requests: list[Any]) -> None:
        self._pipeline.execute(requests)

    def finalize(self) -> None:
        self._pipeline.close()
