"""Values out of a request's tensors: each of the right type and shape, or refused by its name. Knows no limits.

Triton holds its callers to the shapes and types of the model's configuration; this holds whoever else calls, and what
Triton does not look at: whether a text is text and a number is a number.
"""

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelcore.errors import InvalidInput
from modelcore.text.limits import TextLimits, check_text

_LINE_MARKS = "\n\r\t"


class Fields:
    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def text(self, name: str, limits: TextLimits) -> str | None:
        data = self.file(name)
        if data is None:
            return None
        if len(data) > limits.max_bytes:
            raise InvalidInput(f"{name} may have {limits.max_bytes} bytes: {len(data)}", field=name)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{name} must be UTF-8 text: byte {error.start} is not", field=name) from error
        check_text(text, limits, name)
        _check_printable(text, name)
        return text

    def file(self, name: str) -> bytes | None:
        if name not in self:
            return None
        item = self._single(name, "BYTES", lambda array: array.dtype.kind in "OS")
        if not isinstance(item, bytes):
            raise InvalidInput(f"{name} must be a BYTES tensor: its item is of type {type(item).__name__}", field=name)
        return item

    def integer(self, name: str) -> int | None:
        return int(self._single(name, "INT32 or INT64", _is_integer)) if name in self else None

    def flag(self, name: str) -> bool:
        return name in self and bool(self._single(name, "BOOL", lambda array: array.dtype == np.bool_))

    def number(self, name: str) -> float | None:
        if name not in self:
            return None
        item = self._single(name, "FP32", lambda array: array.dtype.kind == "f" or _is_integer(array))
        if not np.isfinite(item):
            raise InvalidInput(f"{name} must be a finite number: {item}", field=name)
        # By its shortest digits: what was 7.3 before it became FP32 is 7.3 again, not 7.30000019.
        return float(str(item))

    def integers(self, name: str, count: int) -> tuple[int, ...] | None:
        if name not in self:
            return None
        array = self._arrays[name]
        if not _is_integer(array) or array.shape != (count,):
            raise _mismatch(name, f"an INT32 tensor of shape [{count}]", array)
        return tuple(int(item) for item in array)

    def _single(self, name: str, data_type: str, fits: Callable[[NDArray[Any]], bool]) -> Any:
        array = self._arrays[name]
        if array.shape not in ((), (1,)) or not fits(array):
            raise _mismatch(name, f"a {data_type} tensor of shape [1]", array)
        return array.reshape(-1)[0]


def _is_integer(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "iu"


def _mismatch(name: str, wanted: str, array: NDArray[Any]) -> InvalidInput:
    return InvalidInput(f"{name} must be {wanted}: it is {array.dtype}, shape {list(array.shape)}", field=name)


def _check_printable(text: str, name: str) -> None:
    for place, character in enumerate(text):
        if unicodedata.category(character) == "Cc" and character not in _LINE_MARKS:
            raise InvalidInput(
                f"{name} has the control character U+{ord(character):04X} at character {place}; "
                "of these only line breaks and tabs are text",
                field=name,
            )
