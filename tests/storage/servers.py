"""Real PostgreSQL and Redis on free ports, in folders of their own, stopped at the end."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis

READY_TIMEOUT_S = 30.0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert isinstance(port, int)
        return port


def wait_until(is_true: Callable[[], bool], what: str, timeout_s: float = READY_TIMEOUT_S) -> None:
    """For what has no event to wait for: a server that comes up, a row that another process changes."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Postgresql:
    port: int
    user: str

    @contextlib.contextmanager
    def new_database(self) -> Iterator[str]:
        """The URL of an empty database, which is dropped at the end."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
            try:
                yield self.url(name)
            finally:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

    def url(self, database: str) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}"

    def is_up(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True


@contextlib.contextmanager
def running_postgresql() -> Iterator[Postgresql]:
    programs = _postgresql_programs()
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="triptych-postgresql-"))
    shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    initdb = [programs / "initdb", "-D", data, "-U", user, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run(initdb, user=user, cwd=folder, check=True, capture_output=True)
    # Never killed by the tests, so it need not sync (-F).
    command = [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
    server = Postgresql(port, user)
    try:
        wait_until(server.is_up, "PostgreSQL answers")
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: nothing in it is worth keeping
        process.wait()
        shutil.rmtree(folder)


def _postgresql_programs() -> Path:
    for folder in [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *_folders_of("initdb")]:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    pytest.skip("PostgreSQL's server is not installed (Debian: postgresql-15)")


def _folders_of(program: str) -> list[Path]:
    found = shutil.which(program)
    return [Path(found).resolve().parent] if found else []


def _unprivileged_user() -> str:
    """PostgreSQL refuses to run as root."""
    return "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name


class Redis:
    """Can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*command, "--save", "", "--appendonly", "yes"], stdout=log, stderr=log)
        wait_until(self.is_up, "Redis answers")

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Alive, and silent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def length_of(self, key: str) -> int:
        with redis.Redis.from_url(self.url) as client:
            return int(client.llen(key))

    def empty(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def is_up(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1.0) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@contextlib.contextmanager
def running_redis(folder: Path) -> Iterator[Redis]:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed (Debian: redis-server)")
    server = Redis(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
