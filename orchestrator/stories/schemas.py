"""Shapes of /generate-image and /job: jobs, in the words of reference 004."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from modelcore.text.limits import TextLimits
from orchestrator.generate.schemas import Count, GenerateRequest, Name, Number, Seed
from orchestrator.jobs.model import State
from orchestrator.schemas import StrictRequest

STORY_PICTURE = "generate-image"  # the kind of its jobs
Status = Literal["pending", "processing", "completed", "failed"]
STATUS_OF: Mapping[State, Status] = {
    "queued": "pending",
    "running": "processing",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "failed",
}
Words = Annotated[str | None, Field(min_length=1, max_length=TextLimits().max_characters)]


class StoryImageRequest(StrictRequest):
    """Whatever is left out is the family's default."""

    story: Words = Field(None, description="What happens in the picture.")
    prompt: Words = Field(None, description="The same, for who calls it so; one of the two.")
    negative_prompt: str | None = Field(None, max_length=TextLimits().max_characters)
    model: Name = None
    steps: Count = None
    guidance_scale: Number = None
    width: Count = None
    height: Count = None
    seed: Seed = None

    @model_validator(mode="after")
    def _have_one_text(self) -> "StoryImageRequest":
        if (self.story is None) == (self.prompt is None):
            raise ValueError("give a story, or a prompt, and not both")
        return self

    def wishes(self) -> GenerateRequest:
        """Nobody here asks what the picture shows, so nobody looks."""
        given = self.model_dump(exclude_none=True, exclude={"story", "prompt"})
        return GenerateRequest(prompt=self.story or self.prompt or "", analyze=False, **given)


class PendingJob(BaseModel):
    job_id: str
    status: Status


class StoryResult(BaseModel):
    image: str = Field(description="A data URL.")


class StoryJob(PendingJob):
    result: StoryResult | None = Field(None, description="Where it is completed.")
    error: str | None = Field(
        None, description="Where it has failed; and where it is completed without a result: its picture was deleted."
    )
