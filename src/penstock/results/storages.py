"""Storage objects: from blocks, paths and defaults."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

from penstock.base.dual import Steps, dual
from penstock.filesystems import LocalFileSystem
from penstock.results.choices import ResultStorage, choose_storage
from penstock.settings import get_current_settings
from penstock.steps import Request

_BLOCKS = "penstock.blocks.storage"
StorageLoader = Callable[[str | UUID], Steps[Any]]
_loader: StorageLoader | None = None
_loaded: dict[str | UUID, Any] = {}
_server_blocks: dict[str, UUID | None] = {}


def install_storage_loader(loader: StorageLoader) -> None:
    """Says how a storage block is loaded by `type/name` or document id.

    Blocks lie above this module; they install their loader when they are imported.
    """
    global _loader
    _loader = loader


def _load_block(reference: str | UUID) -> Steps[Any]:
    if reference not in _loaded:
        # Blocks lie above this module and are imported when the first one is needed.
        load = _loader or import_module(_BLOCKS).load_storage
        _loaded[reference] = yield from load(reference)
    return _loaded[reference]


def _resolve_result_storage(result_storage: ResultStorage | UUID) -> Steps[Any]:
    """The storage object for an object, a path, a block's `type/name` or a document id.

    Blocks are loaded once per process. Raises `TypeError` for an object that cannot be written.
    """
    if isinstance(result_storage, Path):
        return LocalFileSystem(basepath=result_storage)
    if isinstance(result_storage, str | UUID):
        return (yield from _load_block(result_storage))
    if not hasattr(result_storage, "read_path") or not hasattr(result_storage, "write_path"):
        raise TypeError(
            f"a {type(result_storage).__name__} cannot keep results; it needs `read_path` and "
            "`write_path`"
        )
    return result_storage


resolve_result_storage, aresolve_result_storage = dual(_resolve_result_storage)


def _get_default_result_storage() -> Steps[Any]:
    """The storage used where none is given: the block named by the setting, else the server's
    default block, else local files. The server is asked once per process and API, and only when
    blocks can be loaded."""
    chosen = get_current_settings().results
    server_block = None
    if chosen.default_storage_block is None and _loader is not None:
        server_block = yield from _server_default_block()
    return (
        yield from _resolve_result_storage(
            choose_storage(
                block_setting=chosen.default_storage_block,
                server_block_id=server_block,
                local_path=chosen.local_storage_path,
            )
        )
    )


def _server_default_block() -> Steps[UUID | None]:
    api = str(get_current_settings().api.url)
    if api not in _server_blocks:
        answer = yield Request("read_server_default_result_storage")
        _server_blocks[api] = answer.default_result_storage_block_id
    return _server_blocks[api]


def _get_or_create_default_task_scheduling_storage() -> Steps[Any]:
    """Where the parameters of background tasks are kept: the block named by the setting, else
    the local files of results."""
    chosen = get_current_settings()
    block = chosen.tasks.scheduling.default_storage_block
    return (
        yield from _resolve_result_storage(
            choose_storage(block_setting=block, local_path=chosen.results.local_storage_path)
        )
    )


get_default_result_storage, aget_default_result_storage = dual(_get_default_result_storage)
(
    get_or_create_default_task_scheduling_storage,
    aget_or_create_default_task_scheduling_storage,
) = dual(_get_or_create_default_task_scheduling_storage)
