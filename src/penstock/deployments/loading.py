"""Loading a flow from where its code is kept."""

import tempfile
from pathlib import Path
from typing import Any

from penstock.base.dual import Call, Steps, dual, run_coroutine
from penstock.deployments.storage import (
    BlockStorageAdapter,
    RunnerStorage,
    create_storage_from_source,
)
from penstock.flows import Flow, load_flow_from_entrypoint


def storage_of(source: Any) -> RunnerStorage:
    """The storage that a URL, a path, a storage or a block stands for. Raises `TypeError` for
    anything else."""
    if isinstance(source, (str, Path)):
        return create_storage_from_source(str(source))
    if isinstance(source, RunnerStorage):
        return source
    if hasattr(source, "get_directory"):
        return BlockStorageAdapter(source)
    raise TypeError(
        f"{source!r} holds no code; give a URL, a path, a storage, or a block with get_directory"
    )


def _flow_from_source(source: Any, entrypoint: str) -> Steps[Flow[..., Any]]:
    """The flow that `entrypoint` names in `source`. Its file is run once, in a copy that is
    pulled for that and removed."""
    storage = storage_of(source)
    with tempfile.TemporaryDirectory(prefix="penstock-source-") as directory:
        storage.set_base_path(Path(directory))
        yield Call(lambda: run_coroutine(storage.pull_code()), storage.pull_code)
        flow = load_flow_from_entrypoint(str(Path(storage.destination) / entrypoint))
        # Read while the file is there.
        _ = flow.source_code, flow.version
    flow._storage = storage
    flow._entrypoint = entrypoint
    return flow


flow_from_source, aflow_from_source = dual(_flow_from_source)
flow_steps = _flow_from_source
"""The body of both, for other bodies."""
