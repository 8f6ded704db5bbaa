"""Which version of the code a deployment is made from: a commit where there is one."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from penstock.schemas.deployments import VersionInfo

SHORT = 8
GIT_SECONDS = 10.0


class VersionType(StrEnum):
    """Where a version comes from."""

    SIMPLE = "prefect:simple"
    GITHUB = "vcs:github"
    GITLAB = "vcs:gitlab"
    BITBUCKET = "vcs:bitbucket"
    AZUREDEVOPS = "vcs:azuredevops"
    GIT = "vcs:git"


class _Service(NamedTuple):
    """The variables in which a build service names the commit, the branch, the place."""

    type: VersionType
    commit: str
    branch: str


_SERVICES = (
    _Service(VersionType.GITHUB, "GITHUB_SHA", "GITHUB_REF_NAME"),
    _Service(VersionType.GITLAB, "CI_COMMIT_SHA", "CI_COMMIT_REF_NAME"),
    _Service(VersionType.BITBUCKET, "BITBUCKET_COMMIT", "BITBUCKET_BRANCH"),
    _Service(VersionType.AZUREDEVOPS, "BUILD_SOURCEVERSION", "BUILD_SOURCEBRANCHNAME"),
)


def version_info(
    version: str | None = None,
    version_type: VersionType | str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> VersionInfo | None:
    """The version of the code that lies here, for a deployment.

    The commit that a build service names, else that of the git repository, else `version`; None
    when there is none of them. With `version_type` only that source is asked. Raises `ValueError`
    for a `version_type` that says nothing here.
    """
    found = os.environ if environment is None else environment
    wanted = VersionType(version_type) if version_type is not None else None
    if wanted is not VersionType.SIMPLE:
        for service in _SERVICES:
            commit = found.get(service.commit)
            if commit and wanted in (None, service.type):
                return VersionInfo(type=service.type, version=commit[:SHORT])
        if wanted in (None, VersionType.GIT) and (commit := _commit()):
            return VersionInfo(type=VersionType.GIT, version=commit[:SHORT])
        if wanted is not None:
            raise ValueError(
                f"there is no version of type {wanted.value!r} here; run this where it is known, "
                "or leave version_type out"
            )
    return VersionInfo(type=VersionType.SIMPLE, version=version) if version else None


def _commit() -> str | None:
    """The commit that is checked out in the working directory; one process."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - git as found on the path, fixed arguments
            [git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
