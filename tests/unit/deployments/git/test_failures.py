"""What is said when git failed."""

import pytest

from penstock.deployments.git.failures import explanation, hint_for, is_permanent


@pytest.mark.parametrize(
    ("stderr", "hint"),
    [
        ("remote: x\nfatal: Authentication failed for 'https://h/'", "credentials were refused"),
        ("remote: Repository not found.", "check the address"),
        ("fatal: unable to access: Could not resolve host: h", "network and DNS"),
        ("connect to host h port 22: Connection refused", "nobody listens there"),
        ("git@h: Permission denied (publickey).", "SSH key"),
        ("fatal: destination path 'x' already exists", "remove it"),
        ("fatal: Remote branch x not found", "check the address"),
        ("fatal: could not read Username for 'https://h': No", "asks for credentials"),
    ],
)
def test_known_causes_have_a_next_step(stderr: str, hint: str) -> None:
    found = hint_for(stderr)
    assert found is not None
    assert hint in found
    assert stderr.splitlines()[-1] not in explanation("https://h/x", 128, stderr, [])


def test_the_first_known_cause_decides() -> None:
    assert hint_for("not found\nAuthentication failed") == hint_for("Authentication failed")


def test_an_unknown_cause_is_told_in_the_last_words_of_git() -> None:
    stderr = "one\n\ntwo\nthree with https://u:p@h/\nfour\n"
    assert explanation("https://h/x", 128, stderr, []) == (
        "the repository https://h/x could not be pulled: git ended with 128; "
        "git stderr: two | three with https://h/ | four"
    )


def test_a_silent_failure_says_so() -> None:
    assert explanation("https://h/x", 1, "", []).endswith("git ended with 1 and said nothing")


def test_refused_credentials_are_not_tried_again() -> None:
    assert is_permanent("fatal: Authentication failed")
    assert not is_permanent("fatal: Could not resolve host")
