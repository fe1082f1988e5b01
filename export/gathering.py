"""Every source a plan needs, on this machine and looked at, before the first second is spent on making anything."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from export.components import Component
from export.plan import Plan
from export.progress import Progress
from export.source import locate
from export.weights import check_network_folder
from modelcore.errors import SetupProblem


def gather(plan: Plan, progress: Progress) -> Mapping[str, Path]:
    """Part -> its folder. The first source that cannot be used ends the export with nothing written."""
    folders: dict[str, Path] = {}
    for name in dict.fromkeys(job.component.part for job in plan.stale):
        components = [job.component for job in plan.stale if job.component.part == name]
        progress.stage(name, "finding the weights")
        folders[name] = locate(plan.family.part(name), _needed(components))
        for component in components:
            _check(folders[name], component)
    return folders


def _needed(components: Sequence[Component]) -> list[str]:
    return sorted({folder for component in components for folder in component.folders})


def _check(part: Path, component: Component) -> None:
    if component.classes:
        check_network_folder(part / component.folder, component.classes)
        return
    for folder in component.folders:
        if not (part / folder).is_dir():
            raise SetupProblem(f"no such folder: {part / folder}")
