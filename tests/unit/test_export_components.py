"""The light tables that planning uses against the heavy builders that exporting uses."""

import pytest

from export.components import choose, components, suffix
from export.diffusion import builders
from export.sam2 import BUILDERS
from modelcore.family import Architecture, Family, family_names, read_family
from triptych.project import FAMILIES

DIFFUSION = [name for name in family_names(FAMILIES) if read_family(FAMILIES / name).diffusion]


def architecture(family: Family) -> Architecture:
    assert family.diffusion is not None
    return family.diffusion.architecture


@pytest.fixture(params=DIFFUSION)
def family(request: pytest.FixtureRequest) -> Family:
    return read_family(FAMILIES / request.param)


def test_every_diffusion_model_has_a_builder_and_the_other_way_round(family: Family) -> None:
    planned = {suffix(family, item): item.folder for item in choose(family, ("diffusion",)) if item.is_network}
    assert planned == {name: builder.folder for name, builder in builders(architecture(family)).items()}


def test_every_sam2_model_has_a_builder_and_the_other_way_round(family: Family) -> None:
    assert {item.model.name for item in choose(family, ("sam2",)) if item.is_network} == set(BUILDERS)


def test_no_two_models_share_a_folder_of_the_repository(family: Family) -> None:
    names = [item.model.name for item in components(family)]
    assert len(names) == len(set(names))


def test_a_models_name_may_leave_out_the_familys() -> None:
    sd14 = read_family(FAMILIES / "sd14")
    assert [item.model.name for item in choose(sd14, ("unet",))] == ["sd14_unet"]
    assert choose(sd14, ("unet",)) == choose(sd14, ("sd14_unet",))


def test_the_families_cover_every_architecture() -> None:
    assert {architecture(read_family(FAMILIES / name)) for name in DIFFUSION} == {"sd", "sdxl", "sd3"}
