"""Where this clone keeps things."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ROOT / "families"
MODEL_REPOSITORY = ROOT / "model_repository"
STATE = ROOT / ".triptych"
