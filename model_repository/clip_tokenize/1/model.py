"""Shim: Triton's requests to modelcore.text.tokenizing and back."""

from typing import Any

import triton_python_backend_utils as pb_utils

from modelcore import stub
from modelcore.text.tokenizing import ClipTokenizer


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self._names = stub.input_names(args)
        self._tokenizer = ClipTokenizer.load(stub.version_folder(args))

    def execute(self, requests: list[Any]) -> list[Any]:
        return stub.answer_each(pb_utils, requests, self._names, self._tokenize)

    def _tokenize(self, arrays: stub.Arrays) -> stub.Arrays:
        tokens = self._tokenizer.encode(stub.texts(arrays["text"], "text"))
        return vars(tokens)
