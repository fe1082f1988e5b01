"""Model repositories as folders: which models are there, in which versions. Reads no configuration."""

from collections.abc import Iterable
from pathlib import Path


def models(repositories: Iterable[Path]) -> dict[str, Path]:
    """Each model's folder. What has no configuration is no model: a cache, notes, an editor's folder."""
    return {
        folder.name: folder
        for repository in repositories
        if repository.is_dir()
        for folder in sorted(repository.iterdir())
        if (folder / "config.pbtxt").is_file() or (folder / "configs").is_dir()
    }


def versions(model: Path) -> list[Path]:
    return [path for path in sorted(model.iterdir()) if path.name.isdecimal() and path.is_dir()]
