"""Which API the settings name, and how to speak to it."""

import os
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

from penstock.base.version import API_VERSION, VERSION
from penstock.client.exchange import RetryRule
from penstock.settings import Settings, get_current_settings, reveal

PROTECTED_HEADERS = frozenset(
    {
        "authorization",
        "content-length",
        "host",
        "prefect-csrf-client",
        "prefect-csrf-token",
        "user-agent",
        "x-prefect-api-version",
    }
)


class Target(Struct, frozen=True, kw_only=True):
    """One API and the credentials for it. `url` None means the server inside this process."""

    url: str | None = None
    database_url: str = ""
    home: str = ""
    auth_string: str | None = None
    key: str | None = None
    custom_headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 60.0
    verify: bool = True
    ca_file: str | None = None
    rule: RetryRule = RetryRule()
    csrf: bool = True
    version_check: bool = True

    @property
    def name(self) -> str:
        """The API for messages: its URL without credentials."""
        return without_credentials(self.url) if self.url else "the server in this process"

    @property
    def token(self) -> str | None:
        """What a socket's handshake asks for."""
        return self.auth_string or self.key

    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers of every request."""
        return (
            ("User-Agent", f"penstock/{VERSION} (API {API_VERSION})"),
            ("X-PREFECT-API-VERSION", API_VERSION),
            *_authorization(self),
            *self.custom_headers,
        )

    def __repr__(self) -> str:
        return f"Target({self.name})"


def without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _authorization(target: Target) -> tuple[tuple[str, str], ...]:
    if target.auth_string:
        from base64 import b64encode

        encoded = b64encode(target.auth_string.encode()).decode("ascii")
        return (("Authorization", f"Basic {encoded}"),)
    return (("Authorization", f"Bearer {target.key}"),) if target.key else ()


def target_of(settings: Settings) -> Target:
    """The target that `settings` describe. Raises `ValueError` when they name no API and do not
    allow one inside the process."""
    api, client = settings.api, settings.client
    url = str(api.url).rstrip("/") if api.url else None
    if url is None and not settings.server.ephemeral.enabled:
        raise ValueError(
            "no API is configured: set PENSTOCK_API_URL, or allow the server inside the process "
            "with PENSTOCK_SERVER_EPHEMERAL_ENABLED=true"
        )
    return Target(
        url=url,
        database_url=reveal(settings.server.database.connection_url) or "",
        home=str(settings.home),
        auth_string=reveal(api.auth_string),
        key=reveal(api.key),
        custom_headers=_allowed(client.custom_headers or {}),
        timeout=float(api.request_timeout),
        verify=not api.tls_insecure_skip_verify,
        ca_file=api.ssl_cert_file or os.environ.get("SSL_CERT_FILE"),
        rule=RetryRule(
            limit=client.max_retries,
            jitter=client.retry_jitter_factor,
            extra_statuses=frozenset(int(code) for code in client.retry_extra_codes or ()),
        ),
        csrf=bool(client.csrf_support_enabled),
        version_check=bool(client.server_version_check_enabled),
    )


_last: tuple[Settings, Target] | None = None


def current_target() -> Target:
    """The target of the current settings. Costs a comparison while they stay the same object."""
    global _last
    settings = get_current_settings()
    known = _last
    if known is not None and known[0] is settings:
        return known[1]
    target = target_of(settings)
    _last = (settings, target)
    return target


def _allowed(headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
    from logging import getLogger

    allowed: list[tuple[str, str]] = []
    for name, value in headers.items():
        if name.lower() in PROTECTED_HEADERS:
            getLogger("penstock.client").warning(
                "the custom header %r is not sent: the client sets it itself; remove it from "
                "PENSTOCK_CLIENT_CUSTOM_HEADERS",
                name,
            )
        else:
            allowed.append((name, str(value)))
    return tuple(allowed)
