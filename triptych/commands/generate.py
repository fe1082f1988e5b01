"""`triptych generate`: words to a picture file, painted by a running Triptych."""

import argparse
import json
import sys
from pathlib import Path

from modelcore.contract import DataType, Tensor
from modelcore.diffusion.scheduler_names import SCHEDULERS
from modelcore.errors import SetupProblem, TriptychError
from modelcore.pipeline_models import CANCEL, CANCEL_TOKEN, pipeline_models
from triptych.painting import Event, Painter
from triptych.progress_bar import ProgressBar

HELP = "paint a picture of some words with a running Triptych; Ctrl-C stops the painting too"

_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
_TYPES = {DataType.INT32: int, DataType.INT64: int, DataType.FP32: float, DataType.BYTES: str}
_SHOWN = {DataType.INT32: "N", DataType.INT64: "N", DataType.FP32: "X", DataType.BYTES: "TEXT"}
# Decided by the command itself, or of no use in a terminal.
_NO_OPTIONS = {"prompt", "output_format", "preview_every", CANCEL_TOKEN, CANCEL}
_FILES = {"init_image", "mask_image"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = 'triptych generate "PROMPT" [-o FILE] [options]'  # all of them would hide what an error says
    parser.epilog = "What is left out is the family's default; a value beyond its limits is answered with them."
    parser.add_argument("prompt", help="what to paint, in quotes; (word:1.3) weighs")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("out.png"),
        metavar="FILE",
        help="its ending decides the format: .png, .jpg, .webp; several pictures get -1, -2 ...; what is there is "
        "replaced (default: %(default)s)",
    )
    parser.add_argument("--family", default="demo", help="whose networks paint (default: %(default)s)")
    parser.add_argument("--triton-grpc-port", type=int, default=8001, metavar="PORT", help="default: %(default)s")
    for tensor in _optional_inputs():
        _add_option(parser, tensor)


def run(arguments: argparse.Namespace) -> int:
    wishes = _wishes(arguments)
    painter = Painter(f"127.0.0.1:{arguments.triton_grpc_port}", arguments.family)
    bar = ProgressBar(sys.stderr)
    warnings: dict[str, None] = {}  # each once, in order: every picture of a request has the same
    try:
        with painter.paint(wishes) as events:
            for event in events:
                _follow(event, bar, arguments)
                warnings |= dict.fromkeys(_warnings(event))
    except TriptychError as error:
        raise SetupProblem(error.detail) from error
    finally:
        bar.clear()
    sys.stderr.writelines(f"triptych: {warning}\n" for warning in warnings)
    return 0


def _optional_inputs() -> list[Tensor]:
    """The pipeline's own, so that no wish can be made there that cannot be made here."""
    streamed, _ = pipeline_models("any")
    return [tensor for tensor in streamed.inputs if tensor.name not in _NO_OPTIONS]


def _add_option(parser: argparse.ArgumentParser, tensor: Tensor) -> None:
    flag = f"--{tensor.name.replace('_', '-')}"
    about = f"one of {', '.join(SCHEDULERS)}" if tensor.name == "scheduler" else tensor.about.replace("%", "%%")
    if tensor.name in _FILES:
        parser.add_argument(flag, type=Path, metavar="FILE", help=about)
    elif tensor.data_type is DataType.BOOL:
        parser.add_argument(flag, action="store_true", default=None, help=about)
    elif tensor.dims != (1,):
        parser.add_argument(flag, type=_TYPES[tensor.data_type], nargs=tensor.dims[0], metavar="N", help=about)
    else:
        parser.add_argument(flag, type=_TYPES[tensor.data_type], metavar=_SHOWN[tensor.data_type], help=about)


def _wishes(arguments: argparse.Namespace) -> dict[str, object]:
    output: Path = arguments.output
    if output.suffix.lower() not in _FORMATS:
        raise SetupProblem(f"the file must end in one of {', '.join(_FORMATS)}: {output}")
    if not output.absolute().parent.is_dir():
        raise SetupProblem(f"there is no folder {output.absolute().parent} to put {output.name} in")
    wishes: dict[str, object] = {tensor.name: getattr(arguments, tensor.name) for tensor in _optional_inputs()}
    for name in _FILES:
        if wishes[name] is not None:
            wishes[name] = _read(getattr(arguments, name))
    wishes |= {"prompt": arguments.prompt, "output_format": _FORMATS[output.suffix.lower()]}
    return {name: _as_bytes(value) for name, value in wishes.items() if value is not None}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupProblem(f"{path} cannot be read: {error.strerror}") from error


def _as_bytes(value: object) -> object:
    # A terminal may hand over bytes that are no text; Triton's answer says so better than a crash.
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value


def _follow(event: Event, bar: ProgressBar, arguments: argparse.Namespace) -> None:
    index, count = int(event["index"][0]), arguments.num_images or 1
    if "image" in event:
        path = _path(arguments.output, index, count)
        _write(path, event["image"][0])
        bar.clear()
        sys.stdout.write(f"{path} (seed {event['seed'][0]})\n")
        sys.stdout.flush()
    else:
        picture = f"  picture {index + 1} of {count}" if count > 1 else ""
        bar.show(
            step=int(event["step"][0]), steps=int(event["steps"][0]), eta_s=float(event["eta_s"][0]), picture=picture
        )


def _warnings(event: Event) -> list[str]:
    return list(json.loads(event["info"][0])["warnings"]) if "info" in event else []


def _write(path: Path, image: bytes) -> None:
    try:
        path.write_bytes(image)
    except OSError as error:
        raise SetupProblem(f"{path} cannot be written: {error.strerror}") from error


def _path(output: Path, index: int, count: int) -> Path:
    return output if count == 1 else output.with_stem(f"{output.stem}-{index + 1}")
