import json

from hypothesis import given
from hypothesis import strategies as st

from penstock.server.security.redaction import MASK, echo, masked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_members_with_a_secrets_name_are_masked():
    body = {
        "password": "a",
        "dbPassword": "a",
        "api_key": "a",
        "apiKey": "a",
        "Authorization": "a",
        "nested": [{"access_token": {"value": "a"}, "client_secret": "a"}],
        "name": "kept",
        "token": None,
    }
    shown = echo(body)
    assert "a" not in {value for value in shown.values() if isinstance(value, str)}
    assert shown["nested"] == [{"access_token": MASK, "client_secret": MASK}]
    assert shown["name"] == "kept"
    assert shown["token"] is None


def test_credentials_in_a_url_are_cut():
    assert echo({"u": "see postgresql://me:hunter2@db:5432/x"}) == {
        "u": f"see postgresql://{MASK}@db:5432/x"
    }


def test_large_and_deep_bodies_are_shortened():
    deep: object = "end"
    for _ in range(50):
        deep = [deep]
    shown = echo({"long": "x" * 10_000, "many": list(range(1_000)), "deep": deep})
    assert len(json.dumps(shown)) < 4_000
    assert "end" not in json.dumps(shown)


@given(JSON)
def test_an_echo_is_json_again(value: object):
    assert json.loads(json.dumps(echo(value))) == echo(value)


def test_a_settings_document_keeps_its_shape():
    document = {
        "server": {
            "api": {"auth_string": "me:hunter2", "port": 4200, "csrf_token_expiration": 3600},
            "database": {"connection_url": "postgresql://me:hunter2@db/x", "password": None},
            "csrf_protection_enabled": True,
        }
    }
    shown = masked(document)
    assert "hunter2" not in str(shown)
    assert shown["server"]["api"]["port"] == 4200
    assert shown["server"]["csrf_protection_enabled"] is True
    assert shown["server"]["database"]["password"] is None
    assert document["server"]["api"]["auth_string"] == "me:hunter2"
