"""Shim: Triton's requests to modelcore.text.tokenizing and back."""

from typing import Any

import triton_python_backend_utils as pb_utils

from modelcore import stub
from modelcore.text.limits import TextLimits, check_text
from modelcore.text.tokenizing import ClipTokenizer


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._names = stub.input_names(args)
        self._limits = TextLimits()
        folder = stub.version_folder(args)
        self._tokenizer = ClipTokenizer.load(folder)
        self._weights = stub.weights_of(folder)

    def execute(self, requests: list[Any]) -> list[Any]:
        return stub.answer_each(pb_utils, requests, self._names, self._tokenize)

    def _tokenize(self, arrays: stub.Arrays) -> stub.Arrays:
        texts = stub.texts(arrays["text"], "text")
        for text in texts:
            check_text(text, self._limits, "text")
        return {**vars(self._tokenizer.encode(texts)), "weights": stub.column(self._weights, len(texts))}
