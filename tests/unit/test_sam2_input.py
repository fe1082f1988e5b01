"""Pictures of all kinds reach SAM2's encoder as Meta's transform would bring them."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from export.sam2.serving import segment_facts, write_segment_facts
from modelcore.errors import SetupProblem
from modelcore.images import PictureLimits, decode
from modelcore.vision.sam2_input import Sam2Facts, preprocess
from tests.meta_generator import meta_transforms
from tests.sam2_in_process import DEMO
from tests.small_sam2 import write_random_sam2

FACTS = segment_facts(DEMO)
GREY_LEVEL = 1 / 255 / np.array(FACTS.std)[:, None, None]


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth and sharp at once, as photographs are."""
    pixels = np.random.default_rng(seed).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    made = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    made.paste((250, 10, 90), (width // 3, height // 4, width // 2 + 1, height // 2 + 1))
    return made


def encoded(made: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    made.save(buffer, format=kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    made = picture(90, 40)
    exif = made.getexif()
    exif[0x0112] = orientation
    return encoded(made, "JPEG", exif=exif, quality=95)


def transparent() -> bytes:
    made = picture(77, 51).convert("RGBA")
    made.putalpha(Image.linear_gradient("L").resize(made.size))
    return encoded(made)


PICTURES = {
    "one pixel": encoded(picture(1, 1)),
    "two pixels": encoded(picture(2, 1)),
    "the network's own size": encoded(picture(128, 128)),
    "odd": encoded(picture(131, 77)),
    "tall": encoded(picture(20, 400)),
    "wide": encoded(picture(1000, 50)),
    "8192 pixels wide": encoded(picture(8192, 410)),
    "large": encoded(picture(1500, 1100)),
    "noise": encoded(Image.effect_noise((300, 200), 90).convert("RGB")),
    "grey": encoded(picture(150, 90).convert("L")),
    "palette": encoded(picture(150, 90).convert("P")),
    "black and white": encoded(picture(150, 90).convert("1")),
    "CMYK": encoded(picture(150, 90).convert("CMYK"), "JPEG", quality=95),
    "transparent": transparent(),
    "WebP": encoded(picture(150, 90), "WEBP", lossless=True),
    "EXIF turned": turned(6),
    "EXIF mirrored": turned(7),
}


def as_others_open_it(data: bytes) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def as_meta_transforms_it(made: Image.Image) -> torch.Tensor:
    """The arithmetic of Meta's SAM2Transforms, with torch's functions."""
    scaled = torch.from_numpy(np.array(made)).permute(2, 0, 1).float() / 255
    square = torch.nn.functional.interpolate(
        scaled[None], (FACTS.side_px, FACTS.side_px), mode="bilinear", align_corners=False, antialias=True
    )
    mean, std = (torch.tensor(values)[:, None, None] for values in (FACTS.mean, FACTS.std))
    return (square[0] - mean) / std


@pytest.mark.parametrize("kind", PICTURES)
def test_every_kind_of_picture_is_within_a_grey_level_of_metas_input(kind: str) -> None:
    data = PICTURES[kind]
    wanted = as_meta_transforms_it(as_others_open_it(data)).numpy()
    got = preprocess(decode(data, PictureLimits()), FACTS)
    assert (np.abs(got - wanted) <= 1.001 * GREY_LEVEL).all()


def test_sixteen_bits_are_scaled_to_eight() -> None:
    wide = np.random.default_rng(1).integers(0, 65536, (60, 80), dtype=np.uint16)
    eight = Image.fromarray((wide / 257).astype(np.uint8)).convert("RGB")
    got = preprocess(decode(encoded(Image.fromarray(wide)), PictureLimits()), FACTS)
    assert (np.abs(got - as_meta_transforms_it(eight).numpy()) <= 1.001 * GREY_LEVEL).all()


@pytest.mark.filterwarnings("ignore")
def test_the_arithmetic_above_is_metas_own() -> None:
    made = picture(131, 77)
    assert torch.equal(meta_transforms(FACTS.side_px)(np.array(made)), as_meta_transforms_it(made))


def test_the_facts_of_the_demo_family() -> None:
    wanted = {"points_per_side": 16, "stability_score_thresh": 0.8}
    assert (FACTS.side_px, FACTS.mask_side_px, FACTS.automatic) == (128, 64, wanted)


def test_facts_come_back_from_their_file(tmp_path: Path) -> None:
    write_segment_facts(DEMO, tmp_path)
    assert Sam2Facts.load(tmp_path) == FACTS


@pytest.mark.parametrize("wanted", [{"points_per_sides": 3}, {"pred_iou_thresh": 7}])
def test_automatic_masks_that_nobody_knows_end_the_export(tmp_path: Path, wanted: dict[str, float]) -> None:
    folder = write_random_sam2(tmp_path)
    size = {"height": 64, "width": 64}
    preprocessing = {"size": size, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    (folder / "automatic_masks.json").write_text(json.dumps(wanted))
    with pytest.raises(SetupProblem, match=r"automatic_masks\.json"):
        segment_facts(folder)
