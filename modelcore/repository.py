"""Write the catalog's configurations into a model repository, or name what has drifted.

python -m modelcore.repository [--check] [model_repository]
"""

import argparse
import sys
from pathlib import Path

from modelcore.catalog import CATALOG
from modelcore.contract import ServedModel
from modelcore.pbtxt import render


def expected_files(models: tuple[ServedModel, ...] = CATALOG) -> dict[Path, str]:
    """Relative path -> content, for every generated file."""
    files: dict[Path, str] = {}
    for model in models:
        files[Path(model.name, "config.pbtxt")] = render(model)
        if model.gpu is not None:
            files[Path(model.name, "configs", "gpu.pbtxt")] = render(model, "gpu")
    return files


def drifted(repository: Path) -> list[str]:
    """One line per generated file that is missing, different, or left over from a model that is gone."""
    expected = expected_files()
    found = {path.relative_to(repository) for path in repository.glob("*/**/*.pbtxt")}
    wrong = [path for path, text in expected.items() if path not in found or (repository / path).read_text() != text]
    return [f"{path}: differs from modelcore/catalog.py" for path in sorted(wrong)] + [
        f"{path}: no such model in modelcore/catalog.py" for path in sorted(found - set(expected))
    ]


def write(repository: Path) -> list[Path]:
    """Write every file; an ensemble gets its empty version folder too, which Triton insists on."""
    for path, text in expected_files().items():
        target = repository / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for model in CATALOG:
        version = repository / model.name / "1"
        version.mkdir(exist_ok=True)
        if model.backend != "python":
            (version / ".gitkeep").touch()
    return sorted(expected_files())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m modelcore.repository", description=__doc__.splitlines()[0])
    parser.add_argument("repository", type=Path, nargs="?", default=Path("model_repository"))
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the files that drifted")
    arguments = parser.parse_args()
    if not arguments.check:
        sys.stdout.writelines(f"{path}\n" for path in write(arguments.repository))
        return 0
    problems = drifted(arguments.repository)
    sys.stderr.writelines(f"{problem}; run `make configs`\n" for problem in problems)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
