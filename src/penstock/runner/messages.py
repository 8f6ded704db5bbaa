"""What the owner of a launcher and the launcher say to each other: JSON objects, one a line."""

from msgspec import Struct, field

CONTROL_VARIABLE = "PENSTOCK__CONTROL_FD"
"""Names the descriptor on which a run can read why it gets SIGTERM."""


class StartRun(Struct, frozen=True, kw_only=True, tag_field="type", tag="start"):
    """Start a run: a fork of the launcher, or `command` when there is one.

    `run` and `deployment` are the objects of the API when the owner has them already; then the
    child asks for neither. `flow_key` names a flow that lives in the launcher, `flow` is one that
    was pickled, in base 64.
    """

    run_id: str
    directory: str
    environment: dict[str, str]
    command: list[str] = field(default_factory=list)
    quiet: bool = False
    run: str | None = None
    deployment: str | None = None
    entrypoint: str | None = None
    flow_key: str | None = None
    flow: str | None = None


class StopRun(Struct, frozen=True, kw_only=True, tag_field="type", tag="stop"):
    """Send SIGTERM, with `intent` as its reason; kill the whole group when the grace is over."""

    run_id: str
    intent: str = ""
    grace_seconds: float = 30.0


class Kill(Struct, frozen=True, kw_only=True, tag_field="type", tag="kill"):
    """Kill the whole process group now."""

    run_id: str


Command = StartRun | StopRun | Kill


class Started(Struct, frozen=True, kw_only=True, tag_field="type", tag="started"):
    run_id: str
    pid: int


class Failed(Struct, frozen=True, kw_only=True, tag_field="type", tag="failed"):
    """No process could be made."""

    run_id: str
    reason: str


class Exited(Struct, frozen=True, kw_only=True, tag_field="type", tag="exited"):
    run_id: str
    code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    peak_bytes: int = 0
    lost: bool = False


Report = Started | Failed | Exited
