"""No secret survives in what is shown of git's output: 200 hostile outputs and addresses.

Each case hides a secret in a place where git, curl, a proxy or a server has been seen to put one,
in one of the spellings it may take. The secret, in every spelling, must not be in the result.
"""

import base64
import itertools
import random
import time
from urllib.parse import quote, quote_plus, unquote

import pytest

from penstock.deployments.git.failures import explanation
from penstock.deployments.git.redaction import HIDDEN, sanitised, secrets_of, without_userinfo

SECRETS = [
    "s3cr3t-Tok3n",
    "p@ss/w:rd?&#",
    "päß wörd☃",
    "a%40b%2Fc",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "glpat-xyzXYZ1234567890abcd",
    "[ab]*(c)+\\d$^",
    "aaaabbbbccccdddd==",
    "UPPERlower123",
    "-----looks-like-an-option",
]

# `{s}` is the secret as git was given it, `{q}` percent-encoded, `{b}` as basic authentication.
PLACES = [
    "fatal: Authentication failed for 'https://user:{q}@example.com/x.git/'",
    "fatal: unable to access 'https://{q}@example.com/x.git/': error 403",
    "remote: Invalid token {s}, try another",
    "fatal: repository 'http://u:{q}@h:8080/a/b' not found\nhint: ssh://git:{q}@h/a",
    "> Authorization: Basic {b}\r\n< HTTP/1.1 401",
    "=> Send header: authorization: Bearer {s}",
    "< X-Internal-Token: {s}\n< X-Request-Id: 1",
    "Set-Cookie: session={s}; HttpOnly\nok",
    "remote: see https://host/login?private_token={q}&x=1 for help",
    "trace: run_command: git-remote-https origin https://x:{q}@host/r.git",
    "error: url.https://u:{q}@host/.insteadOf=https://host/",
    '{{"message": "bad credentials", "token": "{s}"}}',
    "remote: password: {s}\nremote: bye",
    "\x1b[31mfatal: https://u:{q}@h/\x1b[0m\x07",
    "Proxy-Authorization: Negotiate {s}",
    "fatal: could not read Password for 'https://{q}@host': terminal prompts disabled",
    "redirect to https://u:{s}@evil.example/x/y.git",
    "GIT_PASSWORD='{s}' in environment",
    "b'{s}' and \"{s}\"",
    "{s}",
]
CASES = list(itertools.product(range(len(SECRETS)), range(len(PLACES))))


def spelled(secret: str) -> list[str]:
    pair = f"user:{secret}".encode()
    return [
        secret,
        secret.lower(),
        unquote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        base64.b64encode(secret.encode()).decode(),
        base64.b64encode(pair).decode(),
    ]


def hostile(secret: str, place: str) -> str:
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    return place.format(s=secret, q=quote(secret, safe=""), b=basic)


@pytest.mark.parametrize(("secret", "place"), CASES)
def test_no_secret_survives(secret: int, place: int) -> None:
    token = SECRETS[secret]
    output = hostile(token, PLACES[place])
    shown = sanitised(output, secrets_of("user", token))
    told = explanation(f"https://user:{quote(token, safe='')}@host/x", 128, output,
                       secrets_of("user", token))  # fmt: skip
    for spelling in spelled(token):
        assert spelling not in shown
        assert spelling not in told
    assert "\x1b" not in shown


def test_there_are_two_hundred_cases() -> None:
    assert len(CASES) == 200


def test_a_credential_that_nobody_configured_is_hidden_where_it_is_known_to_stand() -> None:
    generator = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    for _ in range(50):
        token = "".join(generator.choices(letters, k=30))
        for text in (
            f"fatal: https://someone:{token}@host/x",
            f"fatal: https://{token}@host/x",
            f"Authorization: Bearer {token}",
            f"https://host/x?access_token={token}&y=2",
            f"X-Amz-Security-Token: {token}",
            f"remote: token={token}",
            f"remote: github_pat_{token} is revoked",
            f"eyJhbGciOi.eyJ{token}.{token}",
        ):
            assert token not in sanitised(text)


def test_what_helps_to_understand_a_failure_stays() -> None:
    text = (
        "Cloning into 'x'...\nremote: Repository not found.\n"
        "fatal: repository 'https://u:pw123456@example.com/team/x.git/' not found"
    )
    assert sanitised(text, ["pw123456"]) == (
        "Cloning into 'x'...\nremote: Repository not found.\n"
        "fatal: repository 'https://example.com/team/x.git/' not found"
    )
    assert sanitised("fatal: Remote branch nope not found in upstream origin") == (
        "fatal: Remote branch nope not found in upstream origin"
    )


def test_user_information_of_every_address_is_taken_out() -> None:
    text = "a https://u:p@h/x?y@z b ssh://git@h/ c http://u@h d https://h/p@th"
    assert without_userinfo(text) == "a https://h/x?y@z b ssh://h/ c http://h d https://h/p@th"


def test_the_longer_secret_is_hidden_as_a_whole() -> None:
    assert sanitised("abcd-abcd-efgh", ["abcd", "abcd-efgh"]) == f"{HIDDEN}-{HIDDEN}"


def test_output_that_is_made_to_be_slow_is_not() -> None:
    begin = time.process_time()
    for hostile in ("a://b:" * 200_000, "token=\n" * 200_000, "://@:" * 200_000, "\x1b]" * 300_000):
        assert len(sanitised(hostile + "s3cret", ["s3cret"])) < 100_000
    assert time.process_time() - begin < 5


def test_a_long_line_and_the_secret_in_it_are_left_out() -> None:
    line = "x" * 5000 + " https://u:unconfigured@h"
    assert sanitised(f"first\n{line}\nlast") == f"first\n({len(line)} characters left out)\nlast"


def test_an_empty_secret_changes_nothing() -> None:
    assert sanitised("some words", ["", " "]) == "some words"


def test_names_that_everybody_knows_are_no_secrets() -> None:
    assert "oauth2" not in secrets_of("oauth2", "token-1")
    assert "token-as-name" in secrets_of("token-as-name", "")
