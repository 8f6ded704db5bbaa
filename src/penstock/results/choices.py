"""Which storage and serializer apply, and whether results are kept at all.

The choices are pure functions of what is passed in; beside them stand their answers for the
current run and settings.
"""

from pathlib import Path
from uuid import UUID

from penstock.base.run_context import current_run
from penstock.filesystems import LocalFileSystem, WritableFileSystem
from penstock.serializers import Serializer, resolve_serializer
from penstock.settings import get_current_settings

ResultStorage = WritableFileSystem | str | Path
ResultSerializer = Serializer | str


def choose_storage(
    *,
    task: ResultStorage | None = None,
    flow: ResultStorage | None = None,
    block_setting: str | None = None,
    server_block_id: UUID | None = None,
    local_path: Path,
) -> ResultStorage | UUID:
    """The storage that applies: the task's, else the flow's, else the block named by the
    setting, else the server's default block, else files below `local_path`."""
    for choice in (task, flow, block_setting, server_block_id):
        if choice is not None:
            return choice
    return LocalFileSystem(basepath=local_path)


def choose_persistence(
    *,
    task: bool | None = None,
    tasks_setting: bool | None = None,
    flow: bool | None = None,
    setting: bool = False,
    default_block: bool = False,
) -> bool:
    """Whether a result is kept: what the task says, else the setting for tasks, else what the
    flow says, else the general setting; a default storage block turns the last one on."""
    for choice in (task, tasks_setting, flow):
        if choice is not None:
            return choice
    return setting or default_block


def should_persist_result() -> bool:
    """Whether the current run keeps its result; outside a run, the general setting."""
    run = current_run.get()
    while run is not None:
        if run.persist_result is not None:
            return run.persist_result
        run = run.flow_context if run.task is not None else None
    return get_default_persist_setting()


def get_default_persist_setting() -> bool:
    """Whether results are kept where nothing was said: by the general setting, or because a
    default storage block was named."""
    chosen = get_current_settings().results
    return choose_persistence(
        setting=chosen.persist_by_default,
        default_block=chosen.default_storage_block is not None,
    )


def get_default_persist_setting_for_tasks() -> bool | None:
    """The setting for tasks; None when they follow their flow."""
    return get_current_settings().tasks.default_persist_result


def get_default_result_serializer() -> Serializer:
    return resolve_serializer(get_current_settings().results.default_serializer)
