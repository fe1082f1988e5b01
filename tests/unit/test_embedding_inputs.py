import base64

import pytest
from PIL import Image

from modelcore.errors import TooLarge
from modelcore.images import encode_png
from orchestrator.embeddings.inputs import MAX_PIXELS_A_REQUEST, PictureInput, parse_inputs


def data_url(side_px: int) -> str:
    picture = encode_png(Image.new("1", (side_px, side_px)))
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


async def test_small_files_that_unfold_to_many_pixels_are_refused_together() -> None:
    one = {"image": data_url(4096)}
    assert len(await parse_inputs([one, one])) == 2
    with pytest.raises(TooLarge, match=str(MAX_PIXELS_A_REQUEST)):
        await parse_inputs([one, one, {"image": data_url(8)}])


async def test_a_picture_knows_its_pixels() -> None:
    (picture,) = await parse_inputs([{"image": data_url(30)}])
    assert isinstance(picture, PictureInput)
    assert picture.pixels == 900
