"""Code from git repositories: real git, repositories on disk and behind an HTTP server."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.git_server import GitServer, commit, git, make_repository

from penstock.deployments.git.repository import GitPullError
from penstock.deployments.steps import run_steps
from penstock.runner.storage import GitRepository

TOKEN = "s3cret-T0ken/with+signs"


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    return make_repository(
        tmp_path / "srv" / "code", flows__a_py="one", other__b_py="two", top="three"
    )


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return directory


def files(directory: Path) -> list[str]:
    return sorted(
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(directory).parts
    )


def test_a_branch_is_cloned_and_brought_up_to_date(origin: Path, work: Path) -> None:
    git(origin, "checkout", "-q", "-b", "dev/x")
    commit(origin, flows__a_py="on the branch")
    repository = GitRepository(origin.as_uri(), branch="dev/x")
    asyncio.run(repository.pull_code())
    assert repository.destination == work / "code-dev-x"
    assert (repository.destination / "flows/a.py").read_text() == "on the branch"
    assert asyncio.run(repository.is_shallow_clone())

    # Also over a history that was rewritten, and over changes somebody made in the clone.
    (repository.destination / "top").write_text("changed by a run")
    git(origin, "reset", "-q", "--hard", "main")
    commit(origin, flows__a_py="rewritten")
    asyncio.run(repository.pull_code())
    assert (repository.destination / "flows/a.py").read_text() == "rewritten"
    assert (repository.destination / "top").read_text() == "three"


def test_a_commit_is_checked_out_by_a_part_of_its_name(origin: Path, work: Path) -> None:
    first = git(origin, "rev-parse", "HEAD")
    commit(origin, flows__a_py="newer")
    repository = GitRepository(origin.as_uri(), commit_sha=first[:10].upper())
    repository.pull()
    assert (repository.destination / "flows/a.py").read_text() == "one"
    assert asyncio.run(repository.is_current_commit())
    repository.pull()
    later = GitRepository(origin.as_uri(), commit_sha=git(origin, "rev-parse", "HEAD"))
    later.pull()
    assert (repository.destination / "flows/a.py").read_text() == "newer"


def test_only_the_named_directories_are_checked_out(origin: Path, work: Path) -> None:
    repository = GitRepository(origin.as_uri(), directories=["flows"])
    for _ in range(2):
        repository.pull()
        assert files(repository.destination) == ["flows/a.py", "top"]
    assert asyncio.run(repository.is_sparsely_checked_out())


def test_submodules_come_along(
    origin: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "always")
    library = make_repository(tmp_path / "srv" / "library", lib_py="library")
    git(origin, "submodule", "--quiet", "add", library.as_uri(), "vendor")
    git(origin, "commit", "-q", "-m", "with a submodule")
    repository = GitRepository(origin.as_uri(), include_submodules=True)
    for _ in range(2):
        repository.pull()
        assert "vendor/lib.py" in files(repository.destination)


def test_a_directory_that_holds_something_else_is_not_touched(origin: Path, work: Path) -> None:
    other = make_repository(work / "code", mine="mine")
    git(other, "remote", "add", "origin", "https://user:hunter22@example.com/other.git")
    with pytest.raises(ValueError, match=r"is a clone of https://example.com/other.git, not of"):
        GitRepository(origin.as_uri()).pull()
    (work / "plain").mkdir()
    (work / "plain" / "notes").write_text("mine")
    with pytest.raises(GitPullError, match="is no clone; remove it"):
        GitRepository(origin.as_uri(), name="plain").pull()
    kept = [name for name in files(work) if not name.endswith(".lock")]
    assert kept == ["code/mine", "plain/notes"]


def test_a_failed_clone_leaves_nothing_behind(work: Path, tmp_path: Path) -> None:
    with pytest.raises(GitPullError, match="git ended with 128"):
        GitRepository((tmp_path / "nothing").as_uri()).pull()
    assert [path.name for path in work.iterdir()] == ["nothing.lock"]


def test_two_that_pull_at_once_wait_for_each_other(origin: Path, work: Path) -> None:
    errors: list[BaseException] = []

    def pull() -> None:
        try:
            GitRepository(origin.as_uri()).pull()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert files(work / "code") == ["flows/a.py", "other/b.py", "top"]


def test_the_steps_of_a_deployment_pull_and_change_into_the_code(
    origin: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [
        {"prefect.deployments.steps.git_clone": {"id": "clone", "repository": origin.as_uri()}},
        {
            "penstock.deployments.steps.set_working_directory": {
                "directory": "{{ clone.directory }}"
            }
        },
    ]
    said: list[str] = []
    outputs = asyncio.run(run_steps(steps, print_function=said.append))
    assert outputs["clone"] == {"directory": "code"}
    assert Path.cwd() == work / "code"
    assert len(said) == 2


# --- credentials ---------------------------------------------------------------------------------


class Watch:
    """Looks at the command lines of all processes of this machine."""

    def __init__(self, secret: str) -> None:
        self.secret = secret.encode()
        self.gits = 0
        self.leaks: list[bytes] = []

    def __call__(self) -> None:
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            self.gits += line.startswith(b"git\0") or b"git-remote-http" in line
            if self.secret in line:
                self.leaks.append(line)


@pytest.fixture
def served(origin: Path) -> Iterator[tuple[GitServer, Watch]]:
    watch = Watch("s3cret")
    with GitServer(origin.parent, login=("robot", TOKEN), while_asked=watch) as server:
        yield server, watch


def test_credentials_are_in_no_command_line_and_in_no_file(
    served: tuple[GitServer, Watch], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, watch = served
    # A helper of the user that keeps what it hears is not told.
    settings = work.parent / "gitconfig"
    settings.write_text(f"[credential]\n  helper = store --file={work / 'kept'}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    repository = GitRepository(server.url("code", f"robot:{TOKEN.replace('/', '%2F')}"))
    repository.pull()
    repository.pull()
    assert files(repository.destination) == ["flows/a.py", "other/b.py", "top"]
    assert any(server.seen), "the server was given credentials"
    assert watch.gits, "git was looked at while it ran"
    assert watch.leaks == []
    for path in work.rglob("*"):
        if path.is_file():
            assert b"s3cret" not in path.read_bytes(), path
    assert "s3cret" not in repr(repository)
    assert repository.url == server.url("code")


def test_refused_credentials_are_told_without_them(
    served: tuple[GitServer, Watch], work: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server, _ = served
    caplog.set_level("DEBUG")
    with pytest.raises(GitPullError) as failure:
        GitRepository(server.url("code", "robot:wr0ng-passw0rd")).pull()
    assert failure.value.permanent
    assert "credentials were refused" in str(failure.value)
    assert server.url("code") in str(failure.value)
    assert "wr0ng-passw0rd" not in str(failure.value) + caplog.text
    assert failure.value.__cause__ is None


def test_a_repository_that_asks_for_credentials_says_so(
    served: tuple[GitServer, Watch], work: Path
) -> None:
    server, _ = served
    with pytest.raises(GitPullError, match="give an access token"):
        GitRepository(server.url("code")).pull()


def test_a_redirect_to_another_host_gets_no_credentials(
    served: tuple[GitServer, Watch], work: Path
) -> None:
    server, _ = served
    elsewhere = f"http://127.0.0.1:{server.port}"
    with GitServer(work, redirect=elsewhere) as door, pytest.raises(GitPullError):
        GitRepository(door.url("code", f"robot:{TOKEN.replace('/', '%2F')}")).pull()
    assert server.seen
    assert set(server.seen) == {None}


# --- what git never sees -------------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `git` that only writes down that it was called."""
    directory = tmp_path / "bin"
    directory.mkdir()
    record = tmp_path / "called"
    program = directory / "git"
    program.write_text(f'#!/bin/sh\necho "$@" >> {record}\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return record


def test_hostile_inputs_are_refused_before_git_runs(recorded: Path, work: Path) -> None:
    good = "https://host/x.git"
    hostile = [
        {"repository": "--upload-pack=touch x"},
        {"repository": "ext::sh -c id"},
        {"repository": good, "branch": "--upload-pack=id"},
        {"repository": good, "commit_sha": "--exec=id"},
        {"repository": good, "directories": ["--stdin"]},
        {"repository": good, "directories": ["../../etc"]},
        {"repository": good, "clone_directory_name": ".."},
        {"repository": good, "branch": "a", "commit_sha": "abcd"},
        {"repository": good, "access_token": "a", "credentials": {"access_token": "b"}},
        {"repository": good, "credentials": {"username": "somebody"}},
        {"repository": good, "access_token": "line\nbreak"},
    ]
    for inputs in hostile:
        with pytest.raises(Exception, match="git_clone, failed"):
            asyncio.run(
                run_steps([{"prefect.deployments.steps.git_clone": inputs}], print_function=str)
            )
    assert not recorded.exists()
    with pytest.raises(GitPullError):
        GitRepository(good).pull()
    assert recorded.exists(), "the program in the way was called for an ordinary address"
