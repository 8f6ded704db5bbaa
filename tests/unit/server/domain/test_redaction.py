"""Secrets are hidden by the name of their key, at any depth."""

from penstock.server.domain.redaction import HIDDEN, names_secret, redacted, shown


def test_a_secret_is_replaced_wherever_it_is() -> None:
    value = {"env": [{"API-Key": "canary"}], "password": "canary", "user": "me"}
    result = redacted(value, b"key")
    assert "canary" not in str(result)
    assert result["user"] == "me"
    assert result["password"]["value"] == HIDDEN


def test_equal_secrets_have_equal_fingerprints_and_others_do_not() -> None:
    one, same, other = (redacted({"token": text}, b"key") for text in ("a", "a", "b"))
    assert one == same
    assert one != other


def test_without_the_key_a_fingerprint_says_nothing() -> None:
    assert redacted({"token": "a"}, b"key") != redacted({"token": "a"}, b"other")


def test_null_is_not_a_secret() -> None:
    assert redacted({"token": None}, b"key") == {"token": None}


def test_members_named_by_the_caller_are_secret_too() -> None:
    assert redacted({"value": "canary"}, b"key", secret=["value"])["value"]["value"] == HIDDEN


def test_names_are_compared_without_case_and_dashes() -> None:
    assert names_secret("X-Api-Key")
    assert names_secret("DB_PASSWORD_FILE")
    assert not names_secret("keyboard")


def test_credentials_in_urls_go_and_their_change_stays_visible() -> None:
    one, same, other = (
        redacted({"at": f"see postgres://me:{text}@db/x and ftp://u@h"}, b"key")["at"]
        for text in ("canary", "canary", "c@nary")
    )
    assert "canary" not in one and "nary" not in other
    assert one.endswith("@h") and "@db/x and ftp://********:" in one
    assert one == same
    assert one != other
    assert redacted("mail me@example.com: https://a/b", b"key").startswith("mail me@example.com")


def test_json_in_a_text_is_looked_through() -> None:
    text = '{"password": "can\\"ary", "n": {{ n }}, "user":"me", "api_key" : "canary"}'
    result = redacted([text], b"key")[0]
    assert "ary" not in result
    assert '"user":"me"' in result and "{{ n }}" in result
    assert result != redacted([text.replace("can", "kan")], b"key")[0]


def test_what_is_hidden_stays_as_it_is() -> None:
    once = redacted({"token": "a"}, b"key")
    assert redacted(once, b"other") == once


def test_an_event_of_a_client_is_shown_as_it_is_when_nothing_is_secret() -> None:
    value = {"a": [{"b": "text", "tokens": 5, "c": None}], "url": "https://a/b@c"}
    assert shown(value) is value


def test_an_event_of_a_client_is_shown_without_secrets() -> None:
    value = {
        "token": "canary",
        "deep": [{"X-Api-Key": ["canary"], "n": 1}, "ftp://me:canary@h"],
        "total_tokens": 7,
        "is_secret": True,
        "secret": None,
    }
    result = shown(value)
    assert "canary" not in str(result)
    assert result["deep"][0] == {"X-Api-Key": HIDDEN, "n": 1}
    assert (result["total_tokens"], result["is_secret"], result["secret"]) == (7, True, None)
    assert value["token"] == "canary"
    assert shown({"note": "canary"}, ("*note*",)) == {"note": HIDDEN}
