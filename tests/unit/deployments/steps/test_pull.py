"""The pull steps: when cloning is tried again, and what stands for storages elsewhere."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.steps_script import Script

from penstock.base.dual import Blocking
from penstock.deployments.git.repository import GitPullError
from penstock.deployments.steps.pull import _git_clone, set_working_directory
from penstock.runner.storage import (
    BlockStorageAdapter,
    GitRepository,
    LocalStorage,
    RemoteStorage,
    create_storage_from_source,
)


class Clones(Script):
    """Answers each attempt to clone with the next outcome."""

    def __init__(self, *outcomes: BaseException | None) -> None:
        super().__init__()
        self.outcomes = list(outcomes)

    def _answer(self, step: Any) -> Any:
        return self.outcomes.pop(0) if isinstance(step, Blocking) else super()._answer(step)


def test_a_failed_clone_is_tried_three_times() -> None:
    script = Clones(GitPullError("a"), GitPullError("b"), None)
    assert script.run(_git_clone("https://h/x.git", branch="dev/y")) == {"directory": "x-dev-y"}
    assert len(script.sleeps) == 2
    assert all(1 <= seconds <= 10 for seconds in script.sleeps)
    with pytest.raises(GitPullError, match="c"):
        Clones(*(GitPullError(text) for text in "abc")).run(_git_clone("https://h/x.git"))


def test_what_would_fail_again_is_not_tried_again() -> None:
    script = Clones(GitPullError("refused", permanent=True))
    with pytest.raises(GitPullError, match="refused"):
        script.run(_git_clone("https://h/x.git"))
    assert script.sleeps == []


def test_the_working_directory_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    assert set_working_directory(str(tmp_path)) == {"directory": str(tmp_path)}
    assert Path.cwd() == tmp_path


class Saved:
    """A block that was saved."""

    _block_document_name = "mine"

    def __init__(self, slug: str = "secret") -> None:
        self.slug = slug

    def get_block_placeholder(self) -> str:
        return f"prefect.blocks.{self.slug}.mine"

    def get_directory(self, local_path: str) -> None: ...


def test_the_pull_step_of_a_repository_holds_placeholders_and_no_token() -> None:
    repository = GitRepository(
        "https://h/x.git",
        credentials={"access_token": Saved()},
        branch="main",
        directories=["a"],
        include_submodules=True,
    )
    assert repository.to_pull_step() == {
        "prefect.deployments.steps.git_clone": {
            "repository": "https://h/x.git",
            "branch": "main",
            "include_submodules": True,
            "directories": ["a"],
            "access_token": "{{ prefect.blocks.secret.mine }}",
        }
    }
    with_block = GitRepository("https://h/x.git", credentials=Saved("github-credentials"))
    step = with_block.to_pull_step()["prefect.deployments.steps.git_clone"]
    assert step["credentials"] == "{{ prefect.blocks.github-credentials.mine }}"
    for hidden in (
        GitRepository("https://h/x.git", credentials={"access_token": "clear"}),
        GitRepository("https://user:clear@h/x.git"),
    ):
        with pytest.raises(ValueError, match="Secret block") as refusal:
            hidden.to_pull_step()
        assert "clear" not in str(refusal.value).replace("in clear", "")


def test_the_pull_steps_of_other_storages(tmp_path: Path) -> None:
    assert LocalStorage(str(tmp_path)).to_pull_step() == {
        "prefect.deployments.steps.set_working_directory": {"directory": str(tmp_path)}
    }
    assert RemoteStorage("s3://bucket/x", key=Saved()).to_pull_step() == {
        "prefect.deployments.steps.pull_from_remote_storage": {
            "url": "s3://bucket/x",
            "key": "{{ prefect.blocks.secret.mine }}",
            "requires": "s3fs",
        }
    }
    assert BlockStorageAdapter(Saved("local-file-system")).to_pull_step() == {
        "prefect.deployments.steps.pull_with_block": {
            "block_type_slug": "local-file-system",
            "block_document_name": "mine",
        }
    }


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("https://h/x.git", GitRepository),
        ("git://h/x", GitRepository),
        ("git@h:x.git", GitRepository),
        ("s3://bucket/x", RemoteStorage),
        ("file:///srv", LocalStorage),
        ("local:///srv", LocalStorage),
        ("/srv", LocalStorage),
        ("relative", LocalStorage),
    ],
)
def test_the_kind_of_storage_that_a_source_names(source: str, kind: type) -> None:
    assert type(create_storage_from_source(source)) is kind


@pytest.mark.parametrize(
    ("host", "credentials", "login"),
    [
        ("h", {"access_token": "t"}, ("t", "")),
        ("h", {"username": "u", "password": "p"}, ("u", "p")),
        ("gitlab.com", {"access_token": "t"}, ("oauth2", "t")),
        ("gitlab.com", {"access_token": "u:t"}, ("u", "t")),
        ("bitbucket.org", {"token": "t"}, ("x-token-auth", "t")),
        ("bitbucketserver.x", {"token": "u:t"}, ("u", "t")),
    ],
)
def test_how_each_host_wants_its_credentials(
    host: str, credentials: dict[str, str], login: tuple[str, str]
) -> None:
    from penstock.deployments.git.addresses import address_of
    from penstock.deployments.git.logins import login_for

    assert login_for(address_of(f"https://{host}/x"), credentials) == login
    assert login_for(address_of(f"http://{host}/x"), credentials) is None, "not in clear text"


def test_credentials_without_what_they_need_are_refused() -> None:
    with pytest.raises(ValueError, match="neither an access token"):
        GitRepository("https://h/x", credentials={"username": "u"})
    with pytest.raises(ValueError, match="<user>:<token>"):
        GitRepository("https://bitbucketserver.x/x", credentials={"access_token": "t"})
    with pytest.raises(ValueError, match="exclude each other"):
        GitRepository("https://h/x", branch="a", commit_sha="abcd")
