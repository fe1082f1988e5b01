"""Reads families/<name>/family.toml: where each network of a set of weights comes from. Loads no weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, cast, get_args

from modelcore.contract import Architecture as Architecture
from modelcore.contract import Limit
from modelcore.diffusion.scheduler_names import scheduler_names
from modelcore.errors import SetupProblem
from modelcore.preview_colours import PreviewColours, read_preview_colours
from modelcore.strict_toml import Table, read_toml

CropBackground = Literal["kept", "blurred", "dropped"]

FAMILY_FILE = "family.toml"
PARTS = ("clip", "diffusion", "sam2")
SIZE_STEP_PX = 8  # one cell of every latent
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[0-9a-f]{40}")
_SOURCES = ("folder", "path", "hub")


@dataclass(frozen=True)
class HubSource:
    """A repository of the hub at one commit: a branch would be other weights tomorrow."""

    repository: str
    revision: str
    gated: bool


@dataclass(frozen=True)
class Part:
    """One set of networks, in the hub's layout, below `subfolder` of its source."""

    name: str
    source: Path | HubSource
    subfolder: str
    licence: str


@dataclass(frozen=True)
class Defaults:
    """What a request that says nothing gets."""

    steps: int
    guidance_scale: float
    width: int
    height: int
    scheduler: str


@dataclass(frozen=True)
class Limits:
    width: Limit
    height: Limit
    steps: Limit
    pictures: Limit


@dataclass(frozen=True)
class Diffusion:
    """What a family that makes pictures says about making them."""

    architecture: Architecture
    defaults: Defaults
    limits: Limits
    preview: PreviewColours | None = None  # of an autoencoder that is not its architecture's usual one


@dataclass(frozen=True)
class Concepts:
    """How a family's CLIP is asked what a picture shows: what is best depends on what it was trained on."""

    labels: str = "cifar100"  # the label set of a request that names none
    crop_padding: float = 0.1  # around a region, as a share of its longer side
    crop_background: CropBackground = "kept"


@dataclass(frozen=True)
class Family:
    name: str
    about: str
    licence: str
    diffusion: Diffusion | None
    parts: Mapping[str, Part]
    concepts: Concepts = Concepts()
    file: Path = Path(FAMILY_FILE)  # where all this was read

    def part(self, name: str) -> Part:
        if name not in self.parts:
            raise SetupProblem(f"family {self.name} has no part {name!r}; it has: {', '.join(self.parts)}")
        return self.parts[name]


def family_names(families: Path) -> list[str]:
    return sorted(path.parent.name for path in families.glob(f"*/{FAMILY_FILE}"))


def read_family(folder: Path) -> Family:
    path = folder / FAMILY_FILE
    if not _NAME.fullmatch(folder.name) or not path.is_file():
        known = ", ".join(family_names(folder.parent)) or "none"
        raise SetupProblem(f"no family here: {path} does not exist; families in {folder.parent}: {known}")
    return _family(read_toml(path))


def read_diffusion(path: Path) -> Diffusion:
    """Only what a family's file says about making pictures: a copy of it lies beside the pipeline, without weights."""
    document = read_toml(path)
    diffusion = _diffusion(document)
    if diffusion is None:
        raise document.problem("architecture", "the file says nothing about making pictures")
    return diffusion


def _family(document: Table) -> Family:
    document.only("name", "about", "licence", "architecture", "defaults", "limits", "preview", "concepts", "parts")
    name, folder = document.text("name"), document.file.parent.name
    if name != folder:
        raise document.problem("name", f"name must be the folder's own, {folder!r}: {name!r}")
    licence = document.text("licence")
    parts = document.table("parts")
    parts.only(*PARTS)
    family = Family(
        name=name,
        about=document.text("about"),
        licence=licence,
        diffusion=_diffusion(document),
        parts={part: _part(part, parts.table(part), licence) for part in parts.values},
        concepts=_concepts(document.table("concepts")),
        file=document.file,
    )
    if (family.diffusion is None) == ("diffusion" in family.parts):
        raise document.problem("architecture", "architecture and [parts.diffusion] come together or not at all")
    return family


def _part(name: str, table: Table, family_licence: str) -> Part:
    table.only(*_SOURCES, "revision", "gated", "subfolder", "licence")
    given = [key for key in _SOURCES if key in table]
    if len(given) != 1:
        raise table.problem(given[1] if given else "", f"part {name} needs exactly one of {', '.join(_SOURCES)}")
    source = _hub(table) if given == ["hub"] else _local(name, table)
    subfolder = table.text("subfolder") if "subfolder" in table else ""
    _check_inside(table, "subfolder", subfolder)
    return Part(name, source, subfolder, table.text("licence") if "licence" in table else family_licence)


def _hub(table: Table) -> HubSource:
    repository = table.text("hub")
    if not _HUB_ID.fullmatch(repository):
        raise table.problem("hub", f"hub must be an id such as owner/name: {repository!r}")
    revision = table.text("revision")
    if not _REVISION.fullmatch(revision):
        raise table.problem("revision", f"revision must be a commit, 40 hexadecimal digits: {revision!r}")
    return HubSource(repository, revision, table.flag("gated") if "gated" in table else False)


def _local(part: str, table: Table) -> Path:
    for key in ("revision", "gated"):
        if key in table:
            raise table.problem(key, f"{key} goes with a hub source; part {part} has a local one")
    if "path" in table:
        path = Path(table.text("path")).expanduser()
        if not path.is_absolute():
            raise table.problem("path", f"path must be absolute, or begin with ~: {table.text('path')!r}")
        return path
    _check_inside(table, "folder", table.text("folder"))
    folder = table.file.parent / table.text("folder")
    if not folder.is_dir():
        raise table.problem("folder", f"part {part}: no such folder: {folder}")
    return folder


def _check_inside(table: Table, key: str, text: str) -> None:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        raise table.problem(key, f"{key} must stay below its source: {text!r}")


def _diffusion(document: Table) -> Diffusion | None:
    if "architecture" not in document:
        for key in ("defaults", "limits", "preview"):
            if key in document:
                raise document.problem(key, f"[{key}] is for families with an architecture")
        return None
    architecture = document.text("architecture")
    if architecture not in get_args(Architecture):
        known = ", ".join(get_args(Architecture))
        raise document.problem("architecture", f"architecture must be one of {known}: {architecture!r}")
    known_architecture = cast(Architecture, architecture)
    limits = _limits(document.table("limits"))
    return Diffusion(
        architecture=known_architecture,
        defaults=_defaults(document.table("defaults"), limits, known_architecture),
        limits=limits,
        preview=read_preview_colours(document.table("preview")) if "preview" in document else None,
    )


def _concepts(table: Table) -> Concepts:
    table.only("labels", "crop_padding", "crop_background")
    default = Concepts()
    background = table.text("crop_background") if "crop_background" in table else default.crop_background
    if background not in get_args(CropBackground):
        known = ", ".join(get_args(CropBackground))
        raise table.problem("crop_background", f"crop_background must be one of {known}: {background!r}")
    return Concepts(
        labels=table.text("labels") if "labels" in table else default.labels,
        crop_padding=table.number("crop_padding") if "crop_padding" in table else default.crop_padding,
        crop_background=cast(CropBackground, background),
    )


def _limits(table: Table) -> Limits:
    table.only("width", "height", "steps_max", "pictures_max")
    for key in ("width", "height"):
        if any(size_px % SIZE_STEP_PX for size_px in table.span(key)):
            raise table.problem(key, f"{key} must be multiples of {SIZE_STEP_PX} pixels: {list(table.span(key))}")
    return Limits(
        width=Limit("width", *table.span("width")),
        height=Limit("height", *table.span("height")),
        steps=Limit("steps", 1, table.integer("steps_max")),
        pictures=Limit("num_images", 1, table.integer("pictures_max")),
    )


def _defaults(table: Table, limits: Limits, architecture: Architecture) -> Defaults:
    table.only("steps", "guidance_scale", "width", "height", "scheduler")
    for limit in (limits.steps, limits.width, limits.height):
        value = table.integer(limit.name)
        if not limit.minimum <= value <= limit.maximum:
            bounds = f"between {limit.minimum} and {limit.maximum}, as [limits] says"
            raise table.problem(limit.name, f"{limit.name} must be {bounds}: {value}")
    for key in ("width", "height"):
        if table.integer(key) % SIZE_STEP_PX:
            raise table.problem(key, f"{key} must be a multiple of {SIZE_STEP_PX} pixels: {table.integer(key)}")
    scheduler = table.text("scheduler")
    names = scheduler_names(architecture)
    if scheduler not in names:
        known = ", ".join(names)
        raise table.problem("scheduler", f"scheduler must be a name that fits {architecture} ({known}): {scheduler!r}")
    return Defaults(
        steps=table.integer("steps"),
        guidance_scale=table.number("guidance_scale"),
        width=table.integer("width"),
        height=table.integer("height"),
        scheduler=scheduler,
    )
