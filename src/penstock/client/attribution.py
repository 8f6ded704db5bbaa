"""Headers that say on whose behalf a request is made: worker, flow, deployment, flow run.

The server keeps them with each change as claims, so that its audit trail leads to the run.
"""

import os
from typing import Any

from penstock.base.run_context import current_run
from penstock.schemas.claims import CLAIM_HEADER

_FIELDS = tuple(
    (f"X-Prefect-{kind.title()}-{part.title()}", f"{kind}_{part}".replace("-", "_"))
    for kind in ("worker", "flow", "deployment", "flow-run")
    for part in ("id", "name")
)


def environment_attribution() -> dict[str, str]:
    """What the process was started for: `PENSTOCK__FLOW_ID` and the like, `PREFECT__` accepted."""
    found: dict[str, str] = {}
    for header, field in _FIELDS:
        name = field.upper()
        value = os.environ.get(f"PENSTOCK__{name}") or os.environ.get(f"PREFECT__{name}")
        if value:
            found[header] = value
    id, number = (os.environ.get(f"PENSTOCK__{name}") for name in ("FLOW_RUN_ID", "CLAIM"))
    if id and number:
        found[CLAIM_HEADER] = f"{id}:{number}"
    return found


def context_attribution(run: Any) -> dict[str, str]:
    """What the run context `run` says; empty outside a run."""
    if run is None:
        return {}
    flow_run, flow = run.flow_run, run.flow
    values = {
        "X-Prefect-Flow-Id": getattr(flow_run, "flow_id", None),
        "X-Prefect-Flow-Name": getattr(flow, "name", None),
        "X-Prefect-Deployment-Id": getattr(flow_run, "deployment_id", None),
        "X-Prefect-Flow-Run-Id": getattr(flow_run, "id", None),
        "X-Prefect-Flow-Run-Name": getattr(flow_run, "name", None),
    }
    return {name: str(value) for name, value in values.items() if value}


def get_attribution_headers() -> dict[str, str]:
    """All of them for the calling code; the run context wins over the environment."""
    return environment_attribution() | context_attribution(current_run.get())


class Attribution:
    """The same for a connection: the environment is read once, because it does not change."""

    def __init__(self) -> None:
        self._environment = environment_attribution()

    def __call__(self) -> tuple[tuple[str, str], ...]:
        run = current_run.get()
        if run is None and not self._environment:
            return ()
        found = self._environment | context_attribution(run)
        return tuple((name, _header_text(value)) for name, value in found.items())


def _header_text(value: str) -> str:
    """A name as a header can carry it: one line of Latin-1."""
    return (
        value.replace("\r", " ").replace("\n", " ").encode("latin-1", "replace").decode("latin-1")
    )
