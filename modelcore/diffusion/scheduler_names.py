"""The schedulers' names and which architectures each fits. Imports nothing heavy, so that any edge may check a name."""

from collections.abc import Mapping

from modelcore.contract import Architecture
from modelcore.errors import InvalidInput

_NOISE: frozenset[Architecture] = frozenset({"sd", "sdxl"})
_FLOW: frozenset[Architecture] = frozenset({"sd3"})

# By name: the architectures whose networks learnt what the scheduler steps through.
SCHEDULERS: Mapping[str, frozenset[Architecture]] = {
    "ddim": _NOISE,
    "pndm": _NOISE,
    "euler": _NOISE,
    "euler_a": _NOISE,
    "heun": _NOISE,
    "dpmpp_2m": _NOISE,
    "dpmpp_2m_karras": _NOISE,
    "dpmpp_sde": _NOISE,
    "unipc": _NOISE,
    "lcm": _NOISE,
    "flow_euler": _FLOW,
}


def scheduler_names(architecture: Architecture) -> tuple[str, ...]:
    return tuple(name for name, fits in SCHEDULERS.items() if architecture in fits)


def check_scheduler(name: str, architecture: Architecture) -> None:
    names = scheduler_names(architecture)
    if name not in names:
        raise InvalidInput(
            f"scheduler must be one of {', '.join(names)} for this family ({architecture}): {name[:64]!r}",
            field="scheduler",
        )
