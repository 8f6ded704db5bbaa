"""Where a browser's request comes from.

Programs send no `Origin`; browsers always do for what can change something. Without this rule
any web page a developer opens could drive the unauthenticated server on their own machine.
"""

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain"})


@lru_cache(maxsize=256)  # asked at every request, nearly always about the same few
def host_name(authority: str) -> str:
    """The host of `host[:port]`, lower case, without brackets; empty when it cannot be read."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").lower()
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address literal means this machine."""
    if host in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=256)
def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class OriginRule:
    """Which `Host` and `Origin` values are served.

    `allowed_origins` are the configured CORS origins. A `*` there opens the API to every page
    only when callers must present credentials, which no foreign page has; without credentials
    the page must come from the same host, from a listed origin, or be local like the server.
    `allowed_hosts` empty means that the `Host` header is not checked; address literals always
    pass, because a name is what a rebinding attack needs.
    """

    def __init__(
        self,
        *,
        allowed_origins: frozenset[str],
        allowed_hosts: frozenset[str],
        credentials_required: bool,
    ) -> None:
        self._open = "*" in allowed_origins and credentials_required
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)
        self._hosts = frozenset(host.lower() for host in allowed_hosts)

    def serves_host(self, authority: bytes | None) -> bool:
        """Whether a request that names this host in its `Host` header is answered."""
        if not self._hosts or authority is None:
            return True
        host = host_name(authority.decode("latin-1"))
        return host in self._hosts or _is_address(host)

    def trusts(self, origin: bytes | None, authority: bytes | None) -> bool:
        """Whether a page of `origin` may change something here or open a socket."""
        if origin is None or self._open:
            return True
        text = origin.decode("latin-1").rstrip("/").lower()
        if text in self._origins:
            return True
        try:
            source = urlsplit(text).netloc
        except ValueError:
            return False
        if not source:
            return False
        target = (authority or b"").decode("latin-1").lower()
        if source == target:
            return True
        return is_loopback(host_name(source)) and is_loopback(host_name(target))
