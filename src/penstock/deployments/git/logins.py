"""From credentials as people give them to a user name and a password for one host."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from penstock.deployments.git.addresses import Address, Login

_TOKEN_NAMES = ("access_token", "token", "password")


def login_for(address: Address, credentials: Any) -> Login | None:
    """What to log in with at `address`; None to log in not at all.

    `credentials` is a mapping or a block with a token, and perhaps a user name; a block that has a
    method `format_git_credentials(url)` decides itself. Without any, the address's own are taken.
    Raises `ValueError` for a user name without a token.
    """
    if credentials is None:
        return address.login
    if address.scheme != "https":
        _ = _token_of(credentials)  # wrong credentials are wrong at any address
        return address.login
    formatted = getattr(credentials, "format_git_credentials", None)
    if formatted is not None:
        parts = urlsplit(str(_revealed(formatted(address.url))))
        return Login(unquote(parts.username or ""), unquote(parts.password or ""))
    username, token = _token_of(credentials)
    if not token:
        return address.login
    return _login_at(address.host, username, token)


def _token_of(credentials: Any) -> tuple[str, str]:
    values = _members(credentials)
    username = str(_revealed(values.get("username")) or "")
    token = next((str(t) for name in _TOKEN_NAMES if (t := _revealed(values.get(name)))), "")
    if any(mark in username + token for mark in "\r\n\0"):
        raise ValueError("the credentials hold a line break; give the token alone")
    if username and not token:
        raise ValueError(
            "the credentials have a user name and neither an access token nor a password; add one"
        )
    return username, token


def _login_at(host: str, username: str, token: str) -> Login:
    if username:
        return Login(username, token)
    name, colon, password = token.partition(":")
    if "bitbucketserver" in host:
        if not colon:
            raise ValueError("Bitbucket Server needs `<user>:<token>`; add the user name")
        return Login(name, password)
    if "bitbucket" in host:
        return Login(name, password) if colon else Login("x-token-auth", token)
    if "gitlab" in host:
        return Login(name, password) if colon else Login("oauth2", token)
    return Login(token, "")


def _members(credentials: Any) -> Mapping[str, Any]:
    if isinstance(credentials, Mapping):
        return credentials
    names = ("username", *_TOKEN_NAMES)
    return {name: getattr(credentials, name, None) for name in names}


def _revealed(value: Any) -> Any:
    """The content of a secret: of a `SecretStr`, or of a Secret block."""
    for name in ("get_secret_value", "get"):
        reveal = getattr(value, name, None)
        if callable(reveal) and not isinstance(value, Mapping):
            return _revealed(reveal())
    return value


def pull_step_credentials(credentials: Any) -> dict[str, Any]:
    """The inputs of a pull step that stand for `credentials`: placeholders of saved blocks.

    Raises `ValueError` for a token in clear.
    """
    if credentials is None:
        return {}
    if hasattr(credentials, "get_block_placeholder"):
        return {"credentials": _placeholder(credentials)}
    token = credentials.get("access_token") if isinstance(credentials, Mapping) else None
    if token is None:
        return {}
    if isinstance(token, str):
        if token.startswith("{{"):
            return {"access_token": token}
    elif hasattr(token, "get_block_placeholder"):
        return {"access_token": _placeholder(token)}
    raise ValueError(
        "an access token in clear would be readable in the deployment; save it as a Secret block "
        "and pass that block"
    )


def _placeholder(block: Any) -> str:
    return f"{{{{ {block.get_block_placeholder()} }}}}"
