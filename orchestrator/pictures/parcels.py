"""Pictures that came with a request, on their way into the store."""

from modelcore.picture_files import read_picture_file
from orchestrator.storage.shelf import Parcel


def parcel_of(encoded: bytes) -> Parcel:
    return Parcel(encoded, f"image/{read_picture_file(encoded).format.lower()}")
