"""Where a part's files are: a folder of this machine, or the hub, fetched into the hub's own cache.

Nothing is ever written half: the hub's cache renames whole files into place, and a folder is used as it is.
HF_HOME, HF_HUB_OFFLINE, HF_TOKEN and HF_ENDPOINT mean what they mean to every program of the hub.
"""

from collections.abc import Sequence
from pathlib import Path

from modelcore.errors import SetupProblem
from modelcore.family import HubSource, Part

# Of a whole pipeline: a few hundred bytes that lie in no network's folder.
INDEX_FILE = "model_index.json"
# Descriptions and weights, never code and never a pickle.
_SUFFIXES = ("json", "txt", "model", "safetensors")
# Other precisions of the same weights.
_OTHER_VARIANTS = ["*.fp16.*", "*.fp16-*", "*.non_ema.*", "*.ema.*", "*/openvino_*"]
_HTTP_UNAUTHORIZED, _HTTP_FORBIDDEN = 401, 403


def locate(part: Part, folders: Sequence[str]) -> Path:
    """The part's folder on this machine, with these folders in it ("" for the part's own) as far as it has them."""
    root = _fetch(part, part.source, folders) if isinstance(part.source, HubSource) else part.source
    folder = root / part.subfolder
    if not folder.is_dir():
        raise SetupProblem(f"part {part.name}: no such folder: {folder}")
    return folder


def _fetch(part: Part, source: HubSource, folders: Sequence[str]) -> Path:
    # Its import takes longer than finding out that all is up to date.
    from httpx2 import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    name = f"part {part.name}: {source.repository} at {source.revision[:12]}"
    try:
        return Path(
            snapshot_download(
                source.repository,
                revision=source.revision,
                allow_patterns=_patterns(part.subfolder, folders),
                ignore_patterns=_OTHER_VARIANTS,
            )
        )
    except HfHubHTTPError as error:
        raise _refusal(name, source, error.response.status_code) from error
    except LocalEntryNotFoundError as error:
        cause = error.__cause__
        if isinstance(cause, HfHubHTTPError):
            raise _refusal(name, source, cause.response.status_code) from error
        raise SetupProblem(
            f"{name} is not in the hub's cache, or not whole, and the hub cannot be reached "
            "(no network, or HF_HUB_OFFLINE is set)"
        ) from error
    except (HTTPError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SetupProblem(f"{name} could not be fetched: {reason}; run it again to go on from there") from error


def _refusal(name: str, source: HubSource, status: int) -> SetupProblem:
    page = f"https://huggingface.co/{source.repository}"
    if status in {_HTTP_UNAUTHORIZED, _HTTP_FORBIDDEN} and source.gated:
        return SetupProblem(
            f"{name} is gated: accept its licence on {page}, then give a token of that account "
            "in HF_TOKEN or by `hf auth login`"
        )
    if status in {_HTTP_UNAUTHORIZED, _HTTP_FORBIDDEN}:
        return SetupProblem(f"{name} is refused ({status}): private, gone, or HF_TOKEN is wrong; see {page}")
    if status == 404:
        return SetupProblem(f"{name} is not on the hub: no such repository, revision or file; see {page}")
    return SetupProblem(f"{name}: the hub answered {status}; try again later")


def _patterns(subfolder: str, folders: Sequence[str]) -> list[str]:
    prefixes = ["/".join(filter(None, (subfolder, folder))) for folder in folders]
    wanted = [f"{prefix}/*.{suffix}" if prefix else f"*.{suffix}" for prefix in prefixes for suffix in _SUFFIXES]
    return [*wanted, "/".join(filter(None, (subfolder, INDEX_FILE)))]
