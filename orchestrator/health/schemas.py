"""The answers of the health endpoints."""

from typing import Literal

from pydantic import BaseModel


class ModelState(BaseModel):
    name: str
    ready: bool
    problems: list[str]


class HealthSummary(BaseModel):
    """Always answered with 200: it describes. /health/ready is the one that decides."""

    status: Literal["healthy", "degraded"]
    models: list[ModelState]


class Live(BaseModel):
    status: Literal["live"] = "live"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"
