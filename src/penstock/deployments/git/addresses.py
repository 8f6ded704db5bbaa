"""What may be handed to git: addresses of repositories, refs, commits, directories.

Git takes some of these for options (`--upload-pack=...`) or for commands to run (`ext::...`,
`ssh://-oProxyCommand=...`). Whatever is not plainly an address or a name is refused here.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from penstock.deployments.git.redaction import without_userinfo
from penstock.schemas.errors import InvalidRepositoryURLError

SCHEMES = ("https", "http", "ssh", "git", "git+ssh", "ssh+git", "file")
_SCP_LIKE = re.compile(r"(?:[\w.+~-]+@)?[\w.-]+:(?!:)[^\s]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_REF_REFUSED = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)")
_SHA = re.compile(r"[0-9a-fA-F]{4,64}")


class Login(NamedTuple):
    """A user name and a password, as git's credential protocol has them."""

    username: str
    password: str


class Address(NamedTuple):
    """Where a repository is. `url` never holds a password; `login` is what it held."""

    url: str
    scheme: str
    host: str
    login: Login | None

    @property
    def origin(self) -> str:
        """Scheme, host and port: for what credentials are valid."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def address_of(url: str) -> Address:
    """The address in `url`, with its credentials apart.

    Raises `InvalidRepositoryURLError`, whose message names no credentials.
    """
    if not isinstance(url, str) or not url.strip():
        raise _refused("", "is empty")
    if _CONTROL.search(url):
        raise _refused(url, "holds a control character")
    if url != url.strip() or (" " in url and "://" in url):
        raise _refused(url, "holds a blank")
    if url.startswith("-"):
        raise _refused(url, "starts with a dash, which git would take for an option")
    if re.match(r"[\w+.-]+::", url):
        raise _refused(url, "names a remote helper, which runs a command")
    scheme, marked, _ = url.partition("://")
    if not marked:
        return _without_scheme(url)
    if scheme.lower() not in SCHEMES:
        raise _refused(url, f"has the scheme {scheme!r}; allowed are {', '.join(SCHEMES)}")
    return _with_scheme(url, scheme.lower())


def _without_scheme(url: str) -> Address:
    if url.startswith(("/", ".", "~")) or re.match(r"[A-Za-z]:[\\/]", url):
        return Address(url, "file", "", None)
    if _SCP_LIKE.fullmatch(url):
        host = url.partition(":")[0].rpartition("@")[2]
        if host.startswith("-") or url.partition(":")[2].startswith("-"):
            raise _refused(url, "has a part that starts with a dash")
        return Address(url, "ssh", host, None)
    raise _refused(url, "is neither a URL, nor user@host:path, nor a path")


def _with_scheme(url: str, scheme: str) -> Address:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refused(url, "has a host or port that cannot be read") from None
    if scheme == "file":
        return Address(url, scheme, host, None)
    if not host or host.startswith("-") or not re.fullmatch(r"[\w.:-]+", host):
        raise _refused(url, "has no host, or one that is no host name")
    if (parts.username or "").startswith("-") or unquote(parts.path).lstrip("/").startswith("-"):
        raise _refused(url, "has a part that starts with a dash")
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    if _CONTROL.search(name + password):
        raise _refused(url, "has credentials that hold a control character")
    place = f"[{host}]" if ":" in host else host
    place += f":{port}" if port is not None else ""
    if scheme not in ("http", "https"):
        # The user of an ssh address is a name, not a secret; a password there is never used.
        place = f"{parts.username}@{place}" if parts.username else place
        login = None
    else:
        login = Login(name, password) if name or password else None
    plain = urlunsplit((scheme, place, parts.path, parts.query, parts.fragment))
    return Address(plain, scheme, host.lower(), login)


def _refused(url: str, why: str) -> InvalidRepositoryURLError:
    shown = _CONTROL.sub("?", without_userinfo(url))
    return InvalidRepositoryURLError(
        f"the repository address {shown!r} {why}; give a URL such as https://host/owner/name.git"
    )


def check_ref(ref: str) -> str:
    """`ref` when it can be the name of a branch or tag. Raises `ValueError`."""
    wrong = (
        not ref
        or ref.startswith(("-", "/", ".", "+"))
        or ref.endswith(("/", "."))
        or ref == "@"
        or _REF_REFUSED.search(ref)
        or _CONTROL.search(ref)
    )
    if wrong:
        raise ValueError(f"{ref!r} is no name of a branch or tag; see `git check-ref-format`")
    return ref


def check_sha(sha: str) -> str:
    """`sha` when it is 4 to 64 hexadecimal digits. Raises `ValueError`."""
    if not _SHA.fullmatch(sha):
        raise ValueError(f"{sha!r} is no commit; give 4 to 64 hexadecimal digits")
    return sha


def check_directory(directory: str) -> str:
    """`directory` when it lies inside a repository. Raises `ValueError`."""
    parts = directory.replace("\\", "/").split("/")
    if (
        not directory.strip()
        or directory.startswith(("-", "/", "!", "#", '"'))
        or ".." in parts
        or _CONTROL.search(directory)
    ):
        raise ValueError(
            f"{directory!r} is no directory of a repository; give a path such as src/flows"
        )
    return directory
