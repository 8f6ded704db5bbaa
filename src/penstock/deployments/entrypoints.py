"""The entrypoint of a flow that is loaded here: how another process finds it."""

import inspect
import sys
from pathlib import Path
from typing import Any

from penstock.types.entrypoint import EntrypointType


def entrypoint_of(flow: Any, kind: EntrypointType) -> tuple[str, str | None]:
    """The entrypoint, and the directory that a path in it starts from (None for a module).

    Raises `ValueError` for a flow that was made interactively, which nobody else can load.
    """
    if flow._entrypoint and flow._storage is not None:
        return flow._entrypoint, None
    name = getattr(flow.fn, "__qualname__", flow.fn.__name__)
    if "<locals>" in name:
        name = flow.fn.__name__
    module = getattr(flow.fn, "__module__", None)
    if kind is EntrypointType.MODULE_PATH:
        return f"{_module_name(flow, module)}:{name}", None
    file = _file(flow)
    directory = Path.cwd()
    path = file.relative_to(directory) if file.is_relative_to(directory) else file
    return f"{path}:{name}", str(directory)


def _file(flow: Any) -> Path:
    try:
        found = inspect.getsourcefile(flow.fn)
    except TypeError:
        found = None
    if found is None or found.startswith("<") or not Path(found).is_file():
        raise ValueError(
            f"flow {flow.name!r} was made interactively, so no other process can load it; put it "
            "into a file"
        )
    return Path(found).resolve()


def _module_name(flow: Any, module: str | None) -> str:
    if module == "__main__":
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        module = spec.name if spec is not None else _file(flow).stem
    if not module:
        raise ValueError(f"flow {flow.name!r} is in no module")
    return module
