"""Encryption of what the database must not show."""

import base64

import pytest

from penstock.schemas.errors import ObjectConflict, SettingsError
from penstock.server.security.sealing import Keyring, as_text, key_id, keys_of, new_key

FIRST, SECOND = b"1" * 32, b"2" * 32


def test_what_is_sealed_opens_for_its_owner_and_shows_nothing():
    ring = Keyring([FIRST])
    text = ring.seal(b"secret data", "owner")
    assert ring.open(text, "owner") == b"secret data"
    assert b"secret" not in base64.b64decode(text.split(".")[2])
    assert ring.seal(b"secret data", "owner") != text


def test_it_opens_for_nobody_else():
    text = Keyring([FIRST]).seal(b"data", "owner")
    with pytest.raises(ObjectConflict, match="other was changed outside"):
        Keyring([FIRST]).open(text, "other")


def test_every_changed_byte_is_noticed():
    version, name, body = Keyring([FIRST]).seal(b"data", "owner").split(".")
    raw = base64.b64decode(body)
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        text = f"{version}.{name}.{base64.b64encode(changed).decode()}"
        with pytest.raises(ObjectConflict):
            Keyring([FIRST]).open(text, "owner")


def test_the_first_key_seals_and_all_open():
    old = Keyring([FIRST]).seal(b"old", "owner")
    ring = Keyring([SECOND, FIRST])
    assert ring.open(old, "owner") == b"old"
    new = ring.seal(b"new", "owner")
    assert new.split(".")[1] == key_id(SECOND)
    with pytest.raises(ObjectConflict, match=f"key {key_id(SECOND)}"):
        Keyring([FIRST]).open(new, "owner")


def test_keys_are_read_from_a_setting():
    key = new_key()
    assert keys_of(as_text(key)) == (key,)
    standard = base64.b64encode(b"\xff" * 32).decode()
    assert keys_of(f"{standard}, {as_text(key)},") == (b"\xff" * 32, key)
    assert keys_of("") == ()


@pytest.mark.parametrize("text", ["short", "AAAA", as_text(b"x" * 31), "é" * 44])
def test_what_is_no_key_is_refused_without_showing_it(text: str):
    with pytest.raises(SettingsError) as error:
        keys_of(text)
    assert text not in str(error.value)
