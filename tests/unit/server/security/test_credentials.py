import base64

import pytest

from penstock.server.security.credentials import Credentials


def basic(text: str, scheme: str = "Basic") -> bytes:
    return f"{scheme} ".encode() + base64.b64encode(text.encode())


def test_without_credentials_everybody_is_accepted():
    open_to_all = Credentials(None)
    assert not open_to_all.configured
    assert open_to_all.accepts_header(None)
    assert open_to_all.accepts_header(b"Bearer x")
    assert open_to_all.accepts_token("anything")


@pytest.mark.parametrize(
    "header", [basic("me:pass"), basic("me:pass", "basic"), basic("me:pass") + b" "]
)
def test_the_right_header(header: bytes):
    assert Credentials("me:pass").accepts_header(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Basic",
        b"Basic ",
        basic("me:wrong"),
        basic("me:pass "),
        basic("me:pas"),
        basic("me:pass", "Bearer"),
        b"Basic me:pass",
        b"Bearer me:pass",
        b"Basic \xff\xff",
    ],
)
def test_wrong_headers(header: bytes | None):
    assert not Credentials("me:pass").accepts_header(header)


def test_a_socket_gives_the_whole_string():
    credentials = Credentials("me:päss")
    assert credentials.accepts_token("me:päss")
    assert credentials.accepts_header(basic("me:päss"))
    for wrong in ("", "me:pass", "päss", "\ud800"):
        assert not credentials.accepts_token(wrong)
