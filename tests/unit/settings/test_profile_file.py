from pathlib import Path

import pytest

from penstock.schemas.errors import MissingProfileError, SettingsError
from penstock.settings import (
    Profile,
    ProfilesCollection,
    get_current_settings,
    load_current_profile,
    load_profile,
    load_profiles,
    save_profiles,
    update_current_profile,
)
from penstock.settings.profile_file import ProfileFile, update_profile

TEXT = """\
# all my servers
active = "home"   # for now

[profiles.home]
# the box in the cellar
PENSTOCK_API_URL = "http://cellar/api"   # old
PREFECT_UI_ENABLED = "false"

[profiles.work]
PENSTOCK_API_KEY = "k"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "profiles.toml"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def test_a_change_keeps_everything_else_as_it_is(path: Path) -> None:
    file = ProfileFile(path)
    file.update("home", {"PENSTOCK_API_URL": "http://attic/api"})
    file.save()
    assert path.read_text() == TEXT.replace("http://cellar/api", "http://attic/api")


def test_a_setting_is_replaced_under_whatever_name_it_had(path: Path) -> None:
    file = ProfileFile(path)
    file.update("home", {"server.ui.enabled": "true"})
    file.save()
    assert 'PREFECT_UI_ENABLED = "true"' in path.read_text()
    assert "PENSTOCK_SERVER_UI_ENABLED" not in path.read_text()
    file.update("home", {"PENSTOCK_UI_ENABLED": None})
    file.save()
    assert "UI_ENABLED" not in path.read_text()


def test_only_the_owner_may_read_the_file(path: Path) -> None:
    path.chmod(0o644)
    ProfileFile(path).save()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["profiles.toml"]


def test_activation_with_and_without_a_line_for_it(path: Path, tmp_path: Path) -> None:
    file = ProfileFile(path)
    file.set_active("work")
    file.save()
    assert ProfileFile(path).active == "work"
    assert "# for now" in path.read_text()
    bare = tmp_path / "bare.toml"
    bare.write_text("# top\n[profiles.x]\nPENSTOCK_API_URL = 'u'\n")
    file = ProfileFile(bare)
    file.set_active("x")
    file.save()
    again = ProfileFile(bare)
    assert again.active == "x"
    assert again.names() == ["x"]
    assert "# top" in bare.read_text()


def test_a_new_file_with_an_active_profile(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "deep" / "profiles.toml")
    file.set_active("local")
    file.create("mine", {"PENSTOCK_API_URL": "u"})
    file.save()
    again = ProfileFile(tmp_path / "deep" / "profiles.toml")
    assert (again.active, again.names()) == ("local", ["mine"])


def test_names(path: Path) -> None:
    file = ProfileFile(path)
    with pytest.raises(SettingsError, match="already is a profile 'home'"):
        file.create("home", {})
    file.rename("home", "house")
    assert (file.active, sorted(file.names())) == ("house", ["house", "work"])
    file.remove("house")
    assert (file.active, file.names()) == (None, ["work"])
    with pytest.raises(MissingProfileError, match="built in"):
        file.remove("local")
    with pytest.raises(MissingProfileError, match="does not exist"):
        file.remove("gone")


def test_a_changed_built_in_profile_is_copied_into_the_file(path: Path) -> None:
    file = ProfileFile(path)
    file.update("local", {"PENSTOCK_API_KEY": "k"})
    file.save()
    assert load_profile("local").settings == {
        "PENSTOCK_API_URL": "http://127.0.0.1:4200/api",
        "PENSTOCK_API_KEY": "k",
    }


def test_a_broken_file_is_not_edited(path: Path) -> None:
    path.write_text("[")
    with pytest.raises(SettingsError, match="repair or remove it"):
        ProfileFile(path)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = ProfileFile(tmp_path / "elsewhere" / "profiles.toml")
    file.path = tmp_path / "file" / "profiles.toml"
    with pytest.raises(SettingsError, match="PENSTOCK_PROFILES_PATH"):
        file.save()


def test_the_current_profile_is_changed_in_force_and_on_disk(path: Path) -> None:
    assert load_current_profile().name == "home"
    update_current_profile({"server.api.port": 1234, "PENSTOCK_API_URL": None})
    assert get_current_settings().server.api.port == 1234
    assert get_current_settings().api.url is None
    assert 'PENSTOCK_SERVER_API_PORT = "1234"' in path.read_text()
    with pytest.raises(SettingsError, match="whole number"):
        update_current_profile({"server.api.port": "x"})
    with pytest.raises(SettingsError, match="no setting 'nonsense'"):
        update_profile("home", {"nonsense": 1})
    assert 'PENSTOCK_SERVER_API_PORT = "1234"' in path.read_text()


def test_a_text_keeps_its_meaning(path: Path) -> None:
    update_profile("home", {"results.local_storage_path": "~/results"})
    assert "~/results" in path.read_text()


def test_saving_a_collection(path: Path) -> None:
    profiles = load_profiles()
    profiles.remove_profile("work")
    profiles.add_profile(Profile("new", {"api.url": "http://new/api"}))
    profiles.update_profile("home", {"PENSTOCK_API_URL": None})
    profiles.set_active("new")
    save_profiles(profiles)
    again = load_profiles(include_defaults=False)
    assert again.names == {"home", "new"}
    assert again.active_name == "new"
    assert again["home"].settings == {"PREFECT_UI_ENABLED": "false"}
    assert "# all my servers" in path.read_text()


def test_collections() -> None:
    one = Profile("one", {"PREFECT_API_KEY": "k", "PENSTOCK_SERVER_API_PORT": 1})
    profiles = ProfilesCollection([one, Profile("two", source=Path("/p"))], "one")
    assert profiles.active_profile is one
    assert list(profiles) == ["one", "two"]
    assert len(profiles) == 2
    assert profiles.without_profile_source(Path("/p")).names == {"one"}
    assert profiles.to_dict()["active"] == "one"
    assert profiles.items()[0] == ("one", one)
    updated = profiles.update_profile("one", {"api.key": "l"})
    assert updated.to_environment_variables() == {
        "PENSTOCK_API_KEY": "l",
        "PENSTOCK_SERVER_API_PORT": "1",
    }
    with pytest.raises(SettingsError, match="already is"):
        profiles.add_profile(one)
    with pytest.raises(MissingProfileError, match="there are: one, two"):
        profiles.set_active("three")
    profiles.set_active("three", check=False)
    assert profiles.active_profile is None
    with pytest.raises(SettingsError, match="whole number"):
        Profile("bad", {"server.api.port": "x"}).validate_settings()
    one.validate_settings()


def test_there_is_no_current_profile_in_test_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TEST_MODE", "1")
    with pytest.raises(MissingProfileError, match="PENSTOCK_TEST_MODE"):
        load_current_profile()


def test_a_failed_save_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    file = ProfileFile(path)
    file.update("home", {"PENSTOCK_API_URL": "\ud800"})
    with pytest.raises(UnicodeEncodeError):
        file.save()
    assert path.read_text() == TEXT
    assert [entry.name for entry in path.parent.iterdir()] == ["profiles.toml"]
