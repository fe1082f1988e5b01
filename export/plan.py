"""What of a family must be exported anew. Looks at files and hashes only, so that asking costs no import of torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export import manifest
from modelcore.text.tokenizing import TOKENIZER_FILE
from modelcore.vision.clip import SPEC_FILE

OPSET = 20
MODEL_FILE = "model.onnx"

# Every model that is made from a CLIP folder, with the file that serving reads.
FILES = {
    "clip_tokenize": TOKENIZER_FILE,
    "clip_preprocess": SPEC_FILE,
    "clip_text": MODEL_FILE,
    "clip_image": MODEL_FILE,
}


@dataclass(frozen=True)
class Plan:
    source: Path
    repository: Path
    made_from: dict[str, Any]
    stale: tuple[str, ...]

    def version(self, model: str) -> Path:
        return self.repository / model / "1"


def plan_clip(source: Path, repository: Path, licence: str) -> Plan:
    made_from = manifest.describe(manifest.source_hashes(source), OPSET, licence)
    stale = [name for name in FILES if not manifest.is_current(repository / name / "1", made_from)]
    return Plan(source, repository, made_from, tuple(stale))
