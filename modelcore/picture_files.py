"""What a picture file says of itself, and the part of it that makes its pixels. Decodes nothing.

Pillow opens a file by reading all of its metadata: it inflates texts and colour profiles, which lets 60 kB keep it busy
for a second. So we read format, size and orientation from the bytes ourselves, in a bounded walk, and hand on only
what the pixels need.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from modelcore.errors import InvalidInput, UnsupportedFormat

MAX_PIECES = 4096  # chunks of a PNG or WebP, segments of a JPEG; encoders write a few, careful ones 1,300 in 10 MiB
# A progressive JPEG needs about ten, each of which is a walk over all of its pixels, however few bytes it has.
MAX_SCANS = 64
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA
_JPEG_SCAN_MARKER = b"\xff\xda"  # within pixels an 0xff is always followed by a zero
# APP14 tells how CMYK is stored; the other application segments and comments only describe.
_JPEG_DESCRIPTIONS = frozenset(range(0xE0, 0xF0)) - {0xE0, 0xEE} | {0xFE}
_JPEG_FILL = re.compile(rb"\xff+")
_ORIENTATION_TAG, _SHORT = 0x0112, 3


@dataclass(frozen=True)
class PictureFile:
    format: str  # Pillow's name for it
    width_px: int
    height_px: int
    orientation: int  # EXIF's, 1 to 8; 1 is upright
    pixel_data: bytes  # the file without what only describes the picture


def read_picture_file(data: bytes) -> PictureFile:
    """Refuses what is no PNG, JPEG or WebP, and what is broken as far as one can tell without decoding."""
    if data.startswith(_PNG):
        reader = _read_png
    elif data.startswith(b"\xff\xd8\xff"):
        reader = _read_jpeg
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        reader = _read_webp
    else:
        raise UnsupportedFormat("the picture must be PNG, JPEG or WebP", field="image")
    try:
        return reader(data)
    except IndexError:
        raise _damaged() from None


def _read_png(data: bytes) -> PictureFile:
    chunks = list(_png_chunks(data))
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 25 or chunks[-1][0] != b"IEND":
        raise _damaged()
    header = chunks[0][1][8:]
    exif = next((chunk[8:-4] for kind, chunk in chunks if kind == b"eXIf"), b"")
    pixels = b"".join([_PNG, *(chunk for kind, chunk in chunks if kind in _PNG_PIXEL_CHUNKS)])
    return PictureFile("PNG", _big(header[:4]), _big(header[4:8]), exif_orientation(exif), pixels)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, the whole chunk), up to IEND; every checksum is looked at."""
    position = len(_PNG)
    for _ in range(MAX_PIECES):
        end = position + 12 + _big(_exactly(data, position, 4))
        chunk = _exactly(data, position, end - position)
        if zlib.crc32(memoryview(chunk)[4:-4]) != _big(chunk[-4:]):
            raise _damaged()
        yield chunk[4:8], chunk
        if chunk[4:8] == b"IEND":
            return
        position = end
    raise _too_many_pieces()


def _read_jpeg(data: bytes) -> PictureFile:
    kept = [data[:2]]
    size: tuple[int, int] | None = None
    orientation = 1
    for marker, start, end in _jpeg_segments(data):
        body = data[start + 4 : end]
        if marker in _JPEG_FRAMES and size is None:
            size = _big(_exactly(body, 3, 2)), _big(_exactly(body, 1, 2))
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = exif_orientation(body[6:])
        if marker == _JPEG_SCAN:
            _check_scans(data.count(_JPEG_SCAN_MARKER, start))
            kept.append(data[start:])
            break
        if marker not in _JPEG_DESCRIPTIONS:
            kept.append(data[start:end])
    if size is None:
        raise _damaged()
    return PictureFile("JPEG", *size, orientation, b"".join(kept))


def _check_scans(scans: int) -> None:
    if scans > MAX_SCANS:
        raise InvalidInput(f"a JPEG may have {MAX_SCANS} scans: {scans}", field="image")


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, where it starts, where it ends), up to the first scan, after which there are only pixels."""
    position = 2
    for _ in range(MAX_PIECES):
        fill = _JPEG_FILL.match(data, position)
        if fill is None:
            raise _damaged()
        start = fill.end() - 1
        marker = data[start + 1]
        end = start + 2 + _big(_exactly(data, start + 2, 2))
        yield marker, start, end
        if marker == _JPEG_SCAN:
            return
        position = end
    raise _too_many_pieces()


def _read_webp(data: bytes) -> PictureFile:
    size: tuple[int, int] | None = None
    orientation = 1
    for kind, body in _webp_chunks(data):
        if size is None:
            size = _webp_size(kind, body)
        if kind == b"EXIF":
            orientation = exif_orientation(body.removeprefix(b"Exif\0\0"))
    if size is None:
        raise _damaged()
    # libwebp neither inflates nor reads the metadata chunks, so they may stay.
    return PictureFile("WEBP", *size, orientation, data)


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position, end = 12, min(len(data), 8 + _little(_exactly(data, 4, 4)))
    for _ in range(MAX_PIECES):
        if position + 8 > end:
            return
        length = _little(data[position + 4 : position + 8])
        yield data[position : position + 4], data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
    raise _too_many_pieces()


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int] | None:
    if kind == b"VP8X":
        return _little(_exactly(body, 4, 3)) + 1, _little(_exactly(body, 7, 3)) + 1
    if kind == b"VP8L":
        bits = _little(_exactly(body, 1, 4))
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return _little(_exactly(body, 6, 2)) & 0x3FFF, _little(_exactly(body, 8, 2)) & 0x3FFF
    return None


def exif_orientation(exif: bytes) -> int:
    """Tag 274 of the first directory, if it is what it should be. Anything odd means upright."""
    order = {b"II": "little", b"MM": "big"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    number = _little if order == "little" else _big
    directory = number(exif[4:8])
    entries = number(exif[directory : directory + 2])
    for index in range(min(entries, 512)):
        entry = exif[directory + 2 + 12 * index : directory + 14 + 12 * index]
        if number(entry[:2]) == _ORIENTATION_TAG and number(entry[2:4]) == _SHORT:
            value = number(entry[8:10])
            return value if 1 <= value <= 8 else 1
    return 1


def _exactly(data: bytes, start: int, length: int) -> bytes:
    piece = data[start : start + length]
    if len(piece) != length:
        raise _damaged()
    return piece


def _big(digits: bytes) -> int:
    return int.from_bytes(digits, "big")


def _little(digits: bytes) -> int:
    return int.from_bytes(digits, "little")


def _damaged() -> InvalidInput:
    return InvalidInput("the picture is damaged: its file is cut off or contradicts itself", field="image")


def _too_many_pieces() -> InvalidInput:
    return InvalidInput(f"the picture's file is in more than {MAX_PIECES} pieces", field="image")
