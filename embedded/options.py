"""tritonserver's flags, from what a person wants to say. Knows the flags; starts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embedded.binary import Binary

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class TritonOptions:
    """How one tritonserver serves one or more repositories."""

    repositories: Sequence[Path]
    address: str = LOOPBACK
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    models: Sequence[str] = ()
    """Which models to load at the start; none named means all of them."""
    profile: str = ""
    """Loads `<model>/configs/<profile>.pbtxt` where there is one, else `config.pbtxt`."""
    cache_bytes: int = 64 * 1024 * 1024
    exit_timeout_s: int = 10
    extra: Sequence[str] = ()
    """Flags passed on as they are, such as --log-verbose=1 or --trace-config=..."""

    @property
    def ports(self) -> dict[str, int]:
        return {"HTTP": self.http_port, "gRPC": self.grpc_port, "metrics": self.metrics_port}

    @property
    def local_address(self) -> str:
        """Where a client on this machine reaches the server."""
        return LOOPBACK if self.address == "0.0.0.0" else self.address


def command_line(options: TritonOptions, binary: Binary, backends: Path) -> list[str]:
    """All of tritonserver's argv but the shared memory prefix, which only its guardian knows."""
    return [
        str(binary.server),
        *(f"--model-repository={path.resolve()}" for path in options.repositories),
        *_where(options),
        *_what(options),
        f"--backend-directory={backends}",
        f"--cache-directory={binary.caches}",
        f"--cache-config=local,size={options.cache_bytes}",
        # It keeps so many requests of each kind for the next ones to use, each as large as the largest it has held.
        "--grpc-infer-allocation-pool-size=0",
        "--log-format=ISO8601",
        f"--exit-timeout-secs={options.exit_timeout_s}",
        *options.extra,
    ]


def _where(options: TritonOptions) -> list[str]:
    return [
        f"--http-address={options.address}",
        f"--http-port={options.http_port}",
        f"--grpc-address={options.address}",
        f"--grpc-port={options.grpc_port}",
        f"--metrics-address={options.address}",
        f"--metrics-port={options.metrics_port}",
    ]


def _what(options: TritonOptions) -> list[str]:
    profile = [f"--model-config-name={options.profile}"] if options.profile else []
    return [
        "--model-control-mode=explicit",
        *(f"--load-model={name}" for name in options.models or ("*",)),
        *profile,
        # Completing a config starts every stub a second time. So each config.pbtxt must be whole.
        "--disable-auto-complete-config",
        # One broken model must not take the others down, nor the server's readiness: ask each model for its own.
        "--exit-on-error=false",
        "--strict-readiness=false",
    ]
