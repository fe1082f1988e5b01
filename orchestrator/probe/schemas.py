"""Shapes of /probe."""

from pydantic import BaseModel, Field

from modelcore.text.limits import TextLimits
from orchestrator.pictures.schemas import AboutPicture, LabelsField, Warnings, percent
from orchestrator.probe.service import Probed


class ProbeRequest(AboutPicture):
    prompt: str = Field(min_length=1, max_length=TextLimits().max_characters)
    labels: LabelsField = None


class RegionalMatch(BaseModel):
    """`similarity_to_prompt` is for people, `similarity` the cosine itself, -1 to 1."""

    region_id: int
    class_label: str
    similarity_to_prompt: str
    similarity: float


class ProbeAnswer(BaseModel):
    probe_text: str
    global_match_score: str
    global_match: float
    regional_matches: list[RegionalMatch]
    warnings: Warnings


def probe_answer(probed: Probed) -> ProbeAnswer:
    return ProbeAnswer(
        probe_text=probed.prompt,
        global_match_score=percent(probed.cosine),
        global_match=probed.cosine,
        regional_matches=[
            RegionalMatch(
                region_id=region.region_id,
                class_label=region.class_label,
                similarity_to_prompt=percent(region.cosine),
                similarity=region.cosine,
            )
            for region in probed.regions
        ],
        warnings=list(probed.warnings),
    )
