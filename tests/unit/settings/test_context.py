import os
import threading
from pathlib import Path

import pytest

import penstock.settings
from penstock.schemas.errors import MissingProfileError
from penstock.settings import (
    Profile,
    Setting,
    get_current_settings,
    refresh_settings,
    temporary_settings,
    use_profile,
)


def test_the_settings_are_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = get_current_settings()
    monkeypatch.setenv("PENSTOCK_SERVER_API_PORT", "1")
    assert get_current_settings() is first
    assert refresh_settings().server.api.port == 1
    assert get_current_settings().server.api.port == 1


def test_the_home_is_made_for_its_owner_only(tmp_path: Path) -> None:
    get_current_settings()
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_made_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "file" / "home"))
    assert get_current_settings().home == tmp_path / "file" / "home"


def test_temporary_settings_nest_and_end() -> None:
    with temporary_settings({"PENSTOCK_SERVER_API_PORT": 1}) as outer:
        assert get_current_settings() is outer
        with temporary_settings({"server.api.host": "h"}, set_defaults={"api.url": "u"}):
            inner = get_current_settings()
            assert (inner.server.api.port, inner.server.api.host) == (1, "h")
            assert inner.api.url == "u"
        with temporary_settings(restore_defaults=["server.api.port"]) as restored:
            assert restored.server.api.port == 4200
        assert get_current_settings() is outer
    assert get_current_settings().server.api.port == 4200


def test_temporary_settings_end_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), temporary_settings({"server.api.port": 1}):
        raise ZeroDivisionError
    assert get_current_settings().server.api.port == 4200


def test_temporary_settings_are_those_of_one_thread() -> None:
    seen: list[int] = []
    with temporary_settings({"server.api.port": 1}):
        thread = threading.Thread(
            target=lambda: seen.append(get_current_settings().server.api.port)
        )
        thread.start()
        thread.join()
    assert seen == [4200]


def test_many_threads_load_one_object() -> None:
    barrier = threading.Barrier(10)
    seen: list[int] = []

    def look() -> None:
        barrier.wait()
        seen.append(id(get_current_settings()))

    threads = [threading.Thread(target=look) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 10
    assert len(set(seen)) == 1


def test_a_profile_for_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    with use_profile("local") as settings:
        assert get_current_settings() is settings
        assert settings.api.url == "http://127.0.0.1:4200/api"
        assert settings.profile_name == "local"
    assert get_current_settings().api.url is None
    with pytest.raises(MissingProfileError), use_profile("gone"):
        pass


def test_the_environment_wins_over_the_profile_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PENSTOCK_API_URL", "http://env/api")
    with use_profile("local") as settings:
        assert settings.api.url == "http://env/api"
    with use_profile("local", override_environment_variables=True) as settings:
        assert settings.api.url == "http://127.0.0.1:4200/api"


def test_a_profile_lies_on_the_current_context_or_replaces_it() -> None:
    profile = Profile("mine", {"api.url": "http://mine/api"})
    with temporary_settings({"server.api.port": 1}):
        with use_profile(profile) as settings:
            assert (settings.server.api.port, settings.api.url) == (1, "http://mine/api")
        with use_profile(profile, include_current_context=False) as settings:
            assert (settings.server.api.port, settings.api.url) == (4200, "http://mine/api")


def test_settings_can_be_imported_by_name() -> None:
    setting: Setting = penstock.settings.PENSTOCK_API_URL
    assert (setting.name, setting.accessor) == ("PENSTOCK_API_URL", "api.url")
    assert setting == penstock.settings.PREFECT_API_URL
    assert penstock.settings.PENSTOCK_API_KEY.is_secret
    with temporary_settings({setting: "http://x/api"}):
        assert setting.value() == "http://x/api"
        assert setting.value_from(get_current_settings()) == "http://x/api"
    assert setting.default() is None
    assert len({setting, penstock.settings.PREFECT_API_URL}) == 1
    with pytest.raises(AttributeError):
        penstock.settings.PENSTOCK_NONSENSE  # noqa: B018


def test_home_of_the_tests_is_not_the_users() -> None:
    assert str(get_current_settings().home) == os.environ["PENSTOCK_HOME"]
