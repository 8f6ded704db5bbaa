"""What to say when git failed: the next step for causes that are known, else git's own words."""

from collections.abc import Iterable

from penstock.deployments.git.redaction import sanitised

# The first text found in what git wrote decides, so the order matters.
_HINTS = (
    (
        "authentication failed",
        "the credentials were refused; check the user name and the token, and whether it expired",
    ),
    (
        "repository not found",
        "check the address, and whether these credentials may read the repository",
    ),
    ("could not resolve host", "the host is not known; check the address, the network and DNS"),
    ("connection refused", "nobody listens there; check the address, the network and the proxy"),
    ("failed to connect", "nobody listens there; check the address, the network and the proxy"),
    (
        "permission denied",
        "the SSH key or the token was not accepted; check that it may read the repository",
    ),
    (
        "destination path",
        "the directory holds something else; remove it, or give the clone another name",
    ),
    ("not found", "check the address, and whether these credentials may read the repository"),
)
# Git words the lack of credentials differently where it cannot ask for them.
_UNASKED = ("could not read username", "could not read password", "terminal prompts disabled")
_PERMANENT = ("authentication failed", "repository not found", "permission denied", *_UNASKED)
_LAST_LINES = 3


def hint_for(stderr: str) -> str | None:
    """The next step for a known cause of a failure."""
    text = stderr.lower()
    if any(sign in text for sign in _UNASKED):
        return "the repository asks for credentials; give an access token"
    return next((hint for sign, hint in _HINTS if sign in text), None)


def is_permanent(stderr: str) -> bool:
    """Whether trying again with the same credentials is of no use."""
    text = stderr.lower()
    return any(sign in text for sign in _PERMANENT)


def explanation(url: str, status: int, stderr: str, secrets: Iterable[str]) -> str:
    """One message about a failed clone or pull, without any secret."""
    secrets = list(secrets)
    begin = f"the repository {sanitised(url, secrets)} could not be pulled: git ended with {status}"
    hint = hint_for(stderr)
    if hint is not None:
        return f"{begin}; {hint}"
    lines = [line.strip() for line in sanitised(stderr, secrets).splitlines() if line.strip()]
    said = " | ".join(lines[-_LAST_LINES:])
    return f"{begin}; git stderr: {said}" if said else f"{begin} and said nothing"
