"""The few previews of a stream: which steps they are of, and as which files. Knows no HTTP."""

import io

from PIL import Image

# The pipeline's are half as large as their picture, and JPEG.
_ENLARGED = 2


def preview_steps(count: int, steps: int) -> frozenset[int]:
    """Evenly spread, not after the last step: fewer than asked for where there are few steps."""
    places = range(1, count + 1)
    return frozenset(round(place * steps / (count + 1)) for place in places) - {0, steps}


def enlarged(preview: bytes, output_format: str) -> tuple[bytes, int, int]:
    """In the picture's size and format, with that size. Slow for large pictures: belongs in a thread."""
    with Image.open(io.BytesIO(preview)) as small:
        size = small.width * _ENLARGED, small.height * _ENLARGED
        picture = small.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, format=output_format.upper())
    return buffer.getvalue(), *size
