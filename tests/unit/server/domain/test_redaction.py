"""Secrets are hidden by the name of their key, at any depth."""

from penstock.server.domain.redaction import HIDDEN, names_secret, redacted


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
