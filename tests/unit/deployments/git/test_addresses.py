"""Addresses, refs and directories that git would take for options or commands are refused."""

import pytest

from penstock.deployments.git.addresses import (
    Login,
    address_of,
    check_directory,
    check_ref,
    check_sha,
)
from penstock.schemas.errors import InvalidRepositoryURLError

HOSTILE = [
    "--upload-pack=touch /tmp/x",
    "-oProxyCommand=x",
    "ext::sh -c touch% /tmp/x",
    "fd::17",
    "transport::address",
    "ssh://-oProxyCommand=x/path",
    "ssh://u@-oProxyCommand=x/path",
    "https://-host/x",
    "git@-oProxyCommand=x:path",
    "git@host:--upload-pack=x",
    "ssh://host/-x",
    "ssh://host/%2Dx",
    "ftp://host/x.git",
    "javascript://host/x",
    "https://",
    "https:///x",
    "https://ho st/x",
    "https://host:port/x",
    "https://host/x\ny",
    "https://host/x\0",
    "https://user%0a:x@host/y",
    "https://host\u2028/x",
    "\thttps://host/x",
    "just words",
    "",
    "   ",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_addresses_are_refused(url: str) -> None:
    with pytest.raises(InvalidRepositoryURLError):
        address_of(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/owner/name.git",
        "https://host:8443/a/b",
        "http://[::1]:8080/x.git",
        "ssh://git@host:22/x.git",
        "git://host/x",
        "git@github.com:owner/name.git",
        "host:path/to/x",
        "file:///srv/x.git",
        "/srv/x",
        "../x",
        "~/x",
    ],
)
def test_ordinary_addresses_stay_as_they_are(url: str) -> None:
    assert address_of(url).url == url


def test_credentials_are_taken_out_of_an_address() -> None:
    address = address_of("https://us%40er:p%2Fw@Host:8443/x.git?a=1")
    assert address.url == "https://host:8443/x.git?a=1"
    assert address.login == Login("us@er", "p/w")
    assert address.origin == "https://host:8443"
    assert address_of("https://token@host/x").login == Login("token", "")


def test_the_refusal_names_no_credentials() -> None:
    with pytest.raises(InvalidRepositoryURLError) as refusal:
        address_of("ftp://user:hunter22@host/x")
    assert "hunter22" not in str(refusal.value)
    assert "ftp" in str(refusal.value)


@pytest.mark.parametrize(
    "ref",
    ["-x", "--upload-pack=x", "", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b",
     "a@{1}", "@", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "+a:b", "a\nb",
     "a\x7f"],
)  # fmt: skip
def test_hostile_refs_are_refused(ref: str) -> None:
    with pytest.raises(ValueError, match="branch or tag"):
        check_ref(ref)


@pytest.mark.parametrize("ref", ["main", "feature/x-1", "v1.2.3", "users/ü/☃", "a@b", "HEAD"])
def test_ordinary_refs_are_taken(ref: str) -> None:
    assert check_ref(ref) == ref


@pytest.mark.parametrize("sha", ["", "abc", "g" * 8, "-abcd", "a" * 65, "abcd\n", "abcd efgh"])
def test_what_is_no_commit_is_refused(sha: str) -> None:
    with pytest.raises(ValueError, match="no commit"):
        check_sha(sha)


@pytest.mark.parametrize("directory", ["", " ", "-x", "/x", "../x", "a/../b", "a\nb", "!x", '"x"'])
def test_hostile_directories_are_refused(directory: str) -> None:
    with pytest.raises(ValueError, match="no directory"):
        check_directory(directory)
