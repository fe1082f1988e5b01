"""Every source a plan needs, on this machine and looked at, before the first second is spent on making anything."""

from collections.abc import Mapping
from pathlib import Path

from export.plan import Plan
from export.progress import Progress
from export.source import locate
from export.weights import check_network_folder


def gather(plan: Plan, progress: Progress) -> Mapping[str, Path]:
    """Part -> its folder. The first source that cannot be used ends the export with nothing written."""
    folders: dict[str, Path] = {}
    for name in dict.fromkeys(job.component.part for job in plan.stale):
        components = [job.component for job in plan.stale if job.component.part == name]
        progress.stage(name, "finding the weights")
        folders[name] = locate(plan.family.part(name), sorted({component.folder for component in components}))
        for folder, classes in dict.fromkeys((component.folder, component.classes) for component in components):
            check_network_folder(folders[name] / folder, classes)
    return folders
