"""Steps that put the code of a flow where it is run."""

import os
import random
from pathlib import Path
from typing import Any

from penstock.base.dual import Blocking, Steps, dual
from penstock.blocks.core import Block
from penstock.deployments.git.repository import GitPullError, GitRepository
from penstock.deployments.remote import RemoteStorage
from penstock.deployments.storage import BlockStorageAdapter
from penstock.steps import Sleep

ATTEMPTS = 3
SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 10.0


def set_working_directory(directory: str) -> dict[str, str]:
    """Change into `directory`."""
    os.chdir(directory)
    return {"directory": directory}


def _git_clone(
    repository: str,
    branch: str | None = None,
    commit_sha: str | None = None,
    include_submodules: bool = False,
    access_token: str | None = None,
    credentials: Any = None,
    directories: list[str] | None = None,
    clone_directory_name: str | None = None,
) -> Steps[dict[str, str]]:
    """Clone a repository into the working directory; the directory it is in.

    Tried three times, some seconds apart, unless the failure is one that would come again.
    Raises `ValueError` when both an access token and credentials are given.
    """
    if access_token and credentials:
        raise ValueError("an access token and credentials exclude each other; give one of them")
    source = GitRepository(
        url=repository,
        credentials={"access_token": access_token} if access_token else credentials,
        branch=branch,
        commit_sha=commit_sha,
        include_submodules=include_submodules,
        directories=directories,
        name=clone_directory_name,
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            yield Blocking(source.pull)
        except GitPullError as error:
            if error.permanent or attempt == ATTEMPTS:
                raise
            yield Sleep(random.uniform(SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS))  # noqa: S311
        else:
            break
    return {"directory": str(source.destination.relative_to(Path.cwd()))}


git_clone, agit_clone = dual(_git_clone)


async def pull_from_remote_storage(url: str, **settings: Any) -> dict[str, Any]:
    """Copy a directory of remote storage into the working directory; where it is."""
    storage = RemoteStorage(url, **settings)
    await storage.pull_code()
    return {"directory": str(storage.destination.relative_to(Path.cwd()))}


async def pull_with_block(block_document_name: str, block_type_slug: str) -> dict[str, Any]:
    """Copy the directory of a saved storage block into the working directory; where it is."""
    block = await Block.aload(f"{block_type_slug}/{block_document_name}")
    storage = BlockStorageAdapter(block)
    await storage.pull_code()
    return {"directory": str(storage.destination.relative_to(Path.cwd()))}
