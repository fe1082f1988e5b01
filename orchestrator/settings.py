"""Every setting, its default and its reason. The only module that reads the environment; documents.py shows them."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestrator.addresses import Hosts, Origins, is_loopback

PREFIX = "TRIPTYCH_"
_MIB = 1024 * 1024


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")
    require_keys: bool | None = Field(
        default=None,
        description="Whether nothing is answered without an API key. By default so it is on every address but a "
        "loopback one, and Triptych does not start there before there is a key: see docs/access.md.",
    )
    allow_unauthenticated_network: bool = Field(
        default=False,
        description="Listen without keys on an address that others can reach. Meant for a container on a private "
        "network, whose own port is published on a loopback address only.",
    )
    requests_per_minute_without_key: PositiveInt | None = Field(
        default=None,
        description="How many requests a minute each client address may send without a key; one more is answered 429. "
        "A key has its own limit.",
    )
    allowed_hosts: Hosts = Field(
        default=(),
        description="Names by which clients may address this server, split by commas, beside its own address and the "
        "loopback names. A request to any other name is answered 421: it could be a web page that has pointed its "
        "name at us.",
    )
    cors_origins: Origins = Field(
        default=(),
        description="Web origins, split by commas, whose pages may call this API. There is no wildcard.",
    )
    body_limit_bytes: PositiveInt = Field(
        default=15 * _MIB,
        description="The largest request body; a larger one is answered 413 before it is read. "
        "The default has room for a picture of 10 MiB as base64.",
    )
    bodies_limit_bytes: PositiveInt = Field(
        default=64 * _MIB,
        description="What all request bodies in hand may hold together; what goes over it is answered 503.",
    )
    body_deadline_s: PositiveFloat = Field(
        default=30.0, description="How long a request body may take to arrive before it is answered 408."
    )
    head_deadline_s: PositiveFloat = Field(
        default=10.0,
        description="How long a request's first line and headers may take before the connection is closed.",
    )
    connection_limit: PositiveInt = Field(
        default=512, description="How many connections may be open; one more is answered 503 and closed."
    )
    shutdown_grace_s: PositiveInt = Field(
        default=10,
        description="How long requests in flight may still take once the server is told to stop.",
    )

    family: str = Field(
        default="demo",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="The family whose networks are served; also accepted as the name of the model.",
    )
    families_folder: Path = Field(
        default=Path("families"),
        description="The folder with each family's `family.toml`; nothing else of it is read.",
    )
    triton_address: str = Field(default="127.0.0.1:8001", description="Triton's gRPC address, host:port.")
    triton_keepalive_s: PositiveInt = Field(
        default=310,
        description="Seconds between keepalive pings. Triton closes a connection that is pinged more often than "
        "its --grpc-http2-min-recv-ping-interval-without-data, by default 300 s.",
    )
    embeddings_deadline_s: PositiveFloat = Field(
        default=10.0, description="How long one embeddings request may take before it is answered 503."
    )
    clip_deadline_s: PositiveFloat = Field(
        default=30.0,
        description="How long CLIP may take for one batch of words or pictures, wherever a picture is looked at: by a "
        "request, by a job, or after painting.",
    )
    segment_deadline_s: PositiveFloat = Field(
        default=120.0, description="How long the segmentation of one picture may take, likewise."
    )
    drawing_deadline_s: PositiveFloat = Field(
        default=60.0, description="How long /visualize may draw before it is answered 503."
    )
    generate_deadline_s: PositiveFloat = Field(
        default=600.0,
        description="How long the painting of one request's pictures may take before it is stopped and answered 503.",
    )
    health_deadline_s: PositiveFloat = Field(
        default=2.0,
        description="How long Triton may take to answer a question about its health or its models.",
    )

    state_folder: Path = Field(
        default=Path(".triptych"),
        description="The folder for the database and the pictures, unless URLs below say otherwise.",
    )
    database_url: str | None = Field(
        default=None,
        description="postgresql://USER:PASSWORD@HOST/NAME, or sqlite:///FILE. Without it, SQLite's `triptych.db` in "
        "the state folder.",
    )
    objects_url: str | None = Field(
        default=None,
        description="Where the bytes of pictures are kept: s3://BUCKET/PREFIX, with credentials, region and endpoint "
        "in the usual AWS_ variables. Without it, `objects` in the state folder.",
    )
    redis_url: str | None = Field(
        default=None,
        description="redis://HOST:PORT/DATABASE, which tells `triptych worker` processes of new jobs. Without it, jobs "
        "are done inside the orchestrator. Redis needs no persistence: the jobs themselves are in the database.",
    )
    job_slots: int = Field(
        default=4,
        ge=1,
        le=256,
        description="How many jobs one process does at a time.",
    )
    job_queue_limit: PositiveInt = Field(default=1_000, description="How many jobs may wait; one more is answered 503.")
    job_queue_limit_per_caller: PositiveInt = Field(
        default=200, description="How many jobs of one caller may wait; one more is answered 429."
    )
    job_lease_s: PositiveFloat = Field(
        default=30.0, description="A worker that has not been heard of for so long has lost its job to another."
    )
    job_heartbeat_s: PositiveFloat = Field(
        default=5.0, description="How often a worker is heard of; at most a third of the lease."
    )
    job_attempts: PositiveInt = Field(
        default=3, le=100, description="How often a job is tried before it has failed for good."
    )
    job_expiry_s: PositiveFloat = Field(
        default=86_400.0, description="A job that nobody could begin for so long has failed."
    )
    job_retention_s: PositiveFloat = Field(
        default=2_592_000.0,
        ge=86_400.0,
        description="How long a job that has ended is remembered; its pictures stay in the gallery. At least a day, "
        "since quotas count a day.",
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The least level logged."
    )
    log_folder: Path | None = Field(
        default=None,
        description="A folder for app.log, beside standard output. Without it there is no file.",
    )
    log_file_bytes: PositiveInt = Field(default=10 * _MIB, description="app.log is rotated at this size.")
    log_file_count: PositiveInt = Field(default=5, description="How many rotated log files are kept.")

    watchdog_interval_s: PositiveFloat = Field(
        default=2.0, description="The pause between two rounds of probes while all is well."
    )
    watchdog_probe_deadline_s: PositiveFloat = Field(
        default=4.0,
        description="How long one step of a probe may take before its model is looked at closely.",
    )
    watchdog_hung_after_s: PositiveFloat = Field(
        default=7.0,
        description="A model that owes answers and has given none for this long is hung. Three times the model's own "
        "slowest batch counts instead where that is longer.",
    )
    watchdog_load_deadline_s: PositiveFloat = Field(
        default=120.0, description="How long Triton may take to load a model again."
    )
    watchdog_retry_pause_s: PositiveFloat = Field(
        default=10.0, description="The pause before a model that Triton refused to load is tried again."
    )
    watchdog_restart_after: PositiveInt = Field(
        default=2, description="After this many repairs of one model in vain, Triton itself is restarted."
    )
    watchdog_restart_after_repairs: PositiveInt = Field(
        default=20,
        description="After this many repairs in all, Triton is restarted in place of the next one: each repair leaks "
        "threads, a zombie and shared memory in it.",
    )
    watchdog_restart_pause_s: PositiveFloat = Field(
        default=60.0, description="The least time between two restarts of Triton."
    )
    supervisor_socket: Path | None = Field(
        default=None,
        description="The Unix socket of Triton's supervisor, which can kill a stub and restart Triton. "
        "Without it the watchdog can only load models again.",
    )

    @model_validator(mode="after")
    def _leave_room_for_a_missed_heartbeat(self) -> Self:
        if self.job_heartbeat_s * 3 > self.job_lease_s:
            raise ValueError(
                f"the heartbeat must be at most a third of the lease of {self.job_lease_s} s: {self.job_heartbeat_s} s"
            )
        return self

    @model_validator(mode="after")
    def _refuse_an_open_door(self) -> Self:
        if not (self.is_private or self.keys_are_needed):
            raise ValueError(
                f"refusing to listen on {self.host} without keys: others could reach it. Leave {PREFIX}REQUIRE_KEYS "
                f"out, or use 127.0.0.1, or set {PREFIX}ALLOW_UNAUTHENTICATED_NETWORK=true on a private network"
            )
        return self

    @property
    def keys_are_needed(self) -> bool:
        return self.require_keys if self.require_keys is not None else not self.is_private

    @property
    def is_private(self) -> bool:
        """Whether nobody can reach the address who may not use all of it; of a network, somebody has to say so."""
        return self.allow_unauthenticated_network or is_loopback(self.host)
