"""Storages of code, under their public name. They are made in `penstock.deployments`, because the
steps of a deployment use them too."""

from penstock.deployments.storage import (
    BlockStorageAdapter,
    GitCredentials,
    GitRepository,
    LocalStorage,
    RemoteStorage,
    RunnerStorage,
    create_storage_from_source,
)

__all__ = [
    "BlockStorageAdapter",
    "GitCredentials",
    "GitRepository",
    "LocalStorage",
    "RemoteStorage",
    "RunnerStorage",
    "create_storage_from_source",
]
