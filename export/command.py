"""`triptych export` and `python -m export`: one command line. Heavy imports wait until there is something to do."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from export.gathering import gather
from export.plan import Plan, Precision, Target, Wish, plan_family
from export.progress import Progress
from export.staging import only_exporter
from export.verify import verify_repository
from modelcore.errors import SetupProblem
from modelcore.family import HubSource, Part, family_names, read_family

HELP = "turn a family's weights into Triton models, each checked against its source"

_PROJECT = Path(__file__).resolve().parent.parent
_FAMILIES = _PROJECT / "families"
_REPOSITORY = _PROJECT / "model_repository"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("family", nargs="?", default="demo", help="a family, or a family's folder (default: demo)")
    parser.add_argument(
        "--to",
        type=Path,
        default=_REPOSITORY,
        metavar="DIR",
        help="the model repository to write into (default: the project's own)",
    )
    parser.add_argument("--target", choices=get_args(Target), default="onnx-cpu", help="default: %(default)s")
    parser.add_argument("--precision", choices=get_args(Precision), default="fp32", help="default: %(default)s")
    parser.add_argument(
        "--parts",
        type=_words,
        default=(),
        metavar="PART[,PART]",
        help="only these parts (clip, diffusion, sam2) or models (unet, clip_text, ...)",
    )
    parser.add_argument(
        "--keep-others",
        action="store_true",
        help="leave alone what another family, target or precision was exported into",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="list the families and where their weights come from")
    instead.add_argument(
        "--verify",
        type=Path,
        nargs="?",
        const=_REPOSITORY,
        metavar="DIR",
        help="check every file of a model repository against its manifest (default: the project's own)",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.list:
        return _list()
    if arguments.verify is not None:
        return _verify(arguments.verify)
    family = read_family(_folder(arguments.family))
    wish = Wish(arguments.target, arguments.precision, arguments.parts, arguments.keep_others)
    if _is_done(plan_family(family, arguments.to, wish)):
        return 0
    with only_exporter(arguments.to):
        # Whom we waited for may have done it.
        plan = plan_family(family, arguments.to, wish)
        return 0 if _is_done(plan) else _carry_out(plan)


def _carry_out(plan: Plan) -> int:
    progress = Progress(plan.family.name, len(plan.stale), sys.stdout)
    folders = gather(plan, progress)
    with progress:
        # torch and transformers take seconds to import: not for bad weights, nor when there is nothing to do.
        from export.run import carry_out

        carry_out(plan, folders, progress)
    return 0


def _is_done(plan: Plan) -> bool:
    if plan.stale:
        return False
    kept = f"; kept as they are: {', '.join(job.name for job in plan.kept)}" if plan.kept else ""
    sys.stdout.write(f"{plan.family.name}: {len(plan.current)} models are up to date{kept}\n")
    return True


def _list() -> int:
    for name in family_names(_FAMILIES):
        family = read_family(_FAMILIES / name)
        architecture = family.diffusion.architecture if family.diffusion else "no diffusion"
        sys.stdout.write(f"{name} ({architecture}, {family.licence}): {family.about}\n")
        sys.stdout.writelines(f"    {part.name}: {_origin(part)}\n" for part in family.parts.values())
    return 0


def _verify(repository: Path) -> int:
    verified, problems = verify_repository(repository)
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    sys.stdout.write(f"{repository}: {verified} model versions verified, {len(problems)} problems\n")
    return 1 if problems else 0


def _origin(part: Part) -> str:
    if isinstance(part.source, HubSource):
        gated = ", gated" if part.source.gated else ""
        return f"{part.source.repository} at {part.source.revision[:12]} ({part.licence}{gated})"
    return f"{part.source / part.subfolder} ({part.licence})"


def _folder(family: str) -> Path:
    return Path(family).resolve() if "/" in family else _FAMILIES / family


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip() for word in text.split(","))))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m export", description=HELP)
    add_arguments(parser)
    try:
        return run(parser.parse_args())
    except SetupProblem as problem:
        sys.stderr.write(f"export: {problem.detail}\n")
        return 1
    except KeyboardInterrupt:
        return 130
