"""Code that is kept in a git repository."""

import fcntl
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

from penstock.base.dual import Blocking
from penstock.deployments.git.addresses import (
    Address,
    Login,
    address_of,
    check_directory,
    check_ref,
    check_sha,
)
from penstock.deployments.git.failures import explanation, is_permanent
from penstock.deployments.git.logins import login_for, pull_step_credentials
from penstock.deployments.git.process import Git, GitFailed
from penstock.deployments.git.redaction import sanitised, secrets_of

logger = logging.getLogger("penstock.deployments")


class GitCredentials(TypedDict, total=False):
    username: str
    access_token: Any


class GitPullError(RuntimeError):
    """The code could not be pulled. The message holds no secret.

    `permanent` when the same attempt would fail again, such as with refused credentials.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class GitRepository:
    """A repository, at a branch or tag, or at a commit, cloned below a base directory.

    Raises `ValueError` for anything that git could take for an option or a command, and for
    credentials without a token. Credentials are sent to `https` addresses only, and reach git
    through its environment.
    """

    def __init__(
        self,
        url: str,
        credentials: Any = None,
        name: str | None = None,
        branch: str | None = None,
        commit_sha: str | None = None,
        include_submodules: bool = False,
        pull_interval: int | None = 60,
        directories: list[str] | None = None,
    ) -> None:
        if branch and commit_sha:
            raise ValueError("a branch and a commit exclude each other; give one of them")
        self._address = address_of(url)
        self._branch = check_ref(branch) if branch else None
        self._commit_sha = check_sha(commit_sha) if commit_sha else None
        self._directories = [check_directory(one) for one in directories or ()]
        self._credentials = credentials
        # Also done here, so that wrong credentials are an error of the declaration.
        login_for(self._address, credentials)
        self._include_submodules = include_submodules
        self._pull_interval = pull_interval
        self._name = _directory_name(name or _default_name(self._address, self._branch))
        self._base = Path.cwd()

    @property
    def url(self) -> str:
        """The address without credentials."""
        return self._address.url

    @property
    def pull_interval(self) -> int | None:
        return self._pull_interval

    @property
    def destination(self) -> Path:
        return self._base / self._name

    def set_base_path(self, path: Path) -> None:
        self._base = Path(path)

    def to_pull_step(self) -> dict[str, Any]:
        """The step that pulls the same code elsewhere. Raises `ValueError` for a plain token,
        which would be readable for everybody who may see the deployment."""
        inputs: dict[str, Any] = {"repository": self.url, "branch": self._branch}
        if self._address.login is not None:
            raise ValueError(
                f"the address of {self.url} holds credentials, which a deployment must not; "
                "save the token as a Secret block and pass it as credentials"
            )
        if self._commit_sha:
            inputs = {"repository": self.url, "commit_sha": self._commit_sha}
        if self._include_submodules:
            inputs["include_submodules"] = True
        if self._directories:
            inputs["directories"] = self._directories
        inputs.update(pull_step_credentials(self._credentials))
        return {
            "prefect.deployments.steps.git_clone": {
                key: value for key, value in inputs.items() if value is not None
            }
        }

    # --- pulling ---------------------------------------------------------------------------------

    async def pull_code(self) -> None:
        """Clone, or bring an existing clone up to date. Raises `GitPullError`, and `ValueError`
        when the destination is a clone of something else."""
        await Blocking(self.pull).aio()

    def pull(self) -> None:
        """As `pull_code`, by blocking. Processes that share the destination wait for each other."""
        login = login_for(self._address, self._credentials)
        git = Git(self._address, login)
        destination = self.destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        with _locked(destination.with_name(destination.name + ".lock")):
            if (destination / ".git").exists():
                self._check_origin(git)
                try:
                    self._update(git)
                    return
                except GitFailed as failure:
                    logger.debug(
                        "the clone in %s could not be updated, it is made anew: %s",
                        destination,
                        sanitised(failure.stderr, self._secrets(login)),
                    )
                    if is_permanent(failure.stderr):
                        raise self._error(failure, login) from None
            try:
                self._clone(git)
            except GitFailed as failure:
                raise self._error(failure, login) from None
            except FileNotFoundError as error:
                if error.filename != "git":
                    raise
                raise GitPullError(
                    "git is not installed here; install it to pull code", permanent=True
                ) from None

    def _check_origin(self, git: Git) -> None:
        try:
            origin = git("config", "--get", "remote.origin.url", cwd=self.destination).strip()
        except GitFailed:
            origin = ""
        if origin != self.url:
            shown = sanitised(origin) or "nothing"
            raise ValueError(
                f"{self.destination} is a clone of {shown}, not of {sanitised(self.url)}; remove "
                "it, or give this repository another name"
            )

    def _update(self, git: Git) -> None:
        where = self.destination
        if self._commit_sha:
            if not self._head_is(git, self._commit_sha):
                if _is_shallow(git, where):
                    git("fetch", "--quiet", "--unshallow", "origin", cwd=where)
                self._checkout_commit(git, where)
        else:
            git("fetch", "--quiet", "--depth", "1", "origin", self._branch or "HEAD", cwd=where)
            git("reset", "--quiet", "--hard", "FETCH_HEAD", cwd=where)
        if self._directories:
            self._narrow(git, where)
        self._submodules(git, where)

    def _clone(self, git: Git) -> None:
        """Clones beside the destination and moves the result there, so that a failed or killed
        clone leaves nothing behind that looks like one."""
        destination = self.destination
        if destination.is_dir() and not (destination / ".git").exists() and _has_files(destination):
            raise GitPullError(
                f"{destination} exists and is no clone; remove it, or give this repository "
                "another name",
                permanent=True,
            )
        partial = Path(tempfile.mkdtemp(prefix=f".{self._name}-", dir=destination.parent))
        try:
            clone = partial / "clone"
            git("clone", "--quiet", *self._clone_options(), "--", self.url, str(clone))
            if self._directories:
                self._narrow(git, clone)
            if self._commit_sha:
                self._checkout_commit(git, clone)
            self._submodules(git, clone)
            if destination.exists():
                destination.rename(partial / "former")
            clone.rename(destination)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _clone_options(self) -> list[str]:
        options = ["--sparse"] if self._directories else []
        if self._commit_sha:
            return [*options, "--filter=blob:none", "--no-checkout"]
        if self._directories:
            options.append("--filter=blob:none")
        if self._branch:
            options += ["--branch", self._branch]
        return [*options, "--depth", "1"]

    def _narrow(self, git: Git, where: Path) -> None:
        git("sparse-checkout", "set", "--stdin", cwd=where, given="\n".join(self._directories))

    def _checkout_commit(self, git: Git, where: Path) -> None:
        sha = self._commit_sha or ""
        if not git.succeeds("cat-file", "-e", f"{sha}^{{commit}}", cwd=where):
            # A commit that no branch holds; servers give it only under its full name.
            git("fetch", "--quiet", "origin", *([sha] if len(sha) >= 40 else []), cwd=where)
        git("checkout", "--quiet", "--force", "--detach", sha, cwd=where)

    def _submodules(self, git: Git, where: Path) -> None:
        if self._include_submodules:
            git("submodule", "--quiet", "sync", "--recursive", cwd=where)
            git("submodule", "--quiet", "update", "--init", "--recursive", cwd=where)

    def _head_is(self, git: Git, sha: str) -> bool:
        return git("rev-parse", "HEAD", cwd=self.destination).strip().startswith(sha.lower())

    def _error(self, failure: GitFailed, login: Login | None) -> GitPullError:
        secrets = self._secrets(login)
        logger.debug("git wrote: %s", sanitised(failure.stderr, secrets))
        message = explanation(self.url, failure.status, failure.stderr, secrets)
        return GitPullError(message, permanent=is_permanent(failure.stderr))

    def _secrets(self, login: Login | None) -> list[str]:
        logins = [one for one in (login, self._address.login) if one is not None]
        return [secret for one in logins for secret in secrets_of(*one)]

    # --- what is there ---------------------------------------------------------------------------

    async def is_current_commit(self) -> bool:
        """Whether the clone stands at the commit of this repository."""
        if not self._commit_sha:
            raise ValueError("the repository names no commit")
        return self._head_is(Git(self._address, None), self._commit_sha)

    async def is_shallow_clone(self) -> bool:
        return _is_shallow(Git(self._address, None), self.destination)

    async def is_sparsely_checked_out(self) -> bool:
        git = Git(self._address, None)
        try:
            answer = git("config", "--get", "core.sparseCheckout", cwd=self.destination)
        except GitFailed:
            return False
        return answer.strip() == "true"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GitRepository) and (
            self.url,
            self._branch,
            self._commit_sha,
            self._name,
        ) == (other.url, other._branch, other._commit_sha, other._name)

    def __hash__(self) -> int:
        return hash((self.url, self._branch, self._commit_sha, self._name))

    def __repr__(self) -> str:
        at = self._commit_sha or self._branch
        return f"GitRepository({self.url!r}{f', at {at!r}' if at else ''})"


def _is_shallow(git: Git, where: Path) -> bool:
    return git("rev-parse", "--is-shallow-repository", cwd=where).strip() == "true"


def _has_files(directory: Path) -> bool:
    return any(directory.iterdir())


def _default_name(address: Address, branch: str | None) -> str:
    path = urlsplit(address.url).path if "://" in address.url else address.url
    name = path.rstrip("/").replace(":", "/").rpartition("/")[2].removesuffix(".git")
    return f"{name}-{branch.replace('/', '-')}" if branch else name


def _directory_name(name: str) -> str:
    name = name.replace("/", "-").replace("\\", "-")
    if not name.strip(".") or name.startswith("-"):
        raise ValueError(f"{name!r} is no name for the directory of a clone; pass another name")
    return name


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock that ends with this process at the latest."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
