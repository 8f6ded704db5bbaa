from urllib.parse import parse_qs, urlsplit

from penstock.server.store.dsn import conninfo


def query(url: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(conninfo(url)).query).items()}


def test_our_session_settings_are_added() -> None:
    found = query("postgresql://u:p%40w@host:5433/db")
    assert found["application_name"] == "penstock"
    assert found["connect_timeout"] == "10"
    assert "-c lock_timeout=" in found["options"]
    assert conninfo("postgresql://u:p%40w@host:5433/db").startswith(
        "postgresql://u:p%40w@host:5433/db?"
    )


def test_what_the_url_says_wins() -> None:
    found = query("postgresql://host/db?application_name=mine&options=-c%20lock_timeout%3D1s")
    assert found["application_name"] == "mine"
    assert found["options"].endswith("-c lock_timeout=1s")


def test_names_of_other_drivers_are_understood() -> None:
    found = query("postgresql://h/db?ssl=require&timeout=3&statement_cache_size=0&search_path=mine")
    assert found["sslmode"] == "require"
    assert found["connect_timeout"] == "3"
    assert "statement_cache_size" not in found
    assert found["options"].endswith("-c search_path=mine")
