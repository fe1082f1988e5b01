"""Shim: Triton's requests to modelcore.segment_stub."""

from typing import Any

import triton_python_backend_utils as pb_utils

from modelcore.segment_stub import SegmentStub


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._segment = SegmentStub(pb_utils, args)

    def execute(self, requests: list[Any]) -> list[None]:
        self._segment.execute(requests)
        return [None] * len(requests)  # they are answered from threads, when they are done

    def finalize(self) -> None:
        self._segment.close()
