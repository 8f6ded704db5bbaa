"""Connection strings as the PostgreSQL driver takes them."""

from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

_DEFAULTS = {
    "application_name": "penstock",
    "connect_timeout": "10",
    # Detects a server that vanished: a half-open connection must not hold a thread for hours.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_SESSION = "-c jit=off -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"

# What other drivers call things, for URLs written for them.
_RENAMED = {"ssl": "sslmode", "timeout": "connect_timeout"}
_IGNORED = {"command_timeout", "prepared_statement_cache_size", "statement_cache_size"}


def conninfo(url: str) -> str:
    """`url` with our session settings, for what it does not set itself."""
    scheme, netloc, path, query, fragment = urlsplit(url)
    given = {
        _RENAMED.get(name, name): value
        for name, value in parse_qsl(query, keep_blank_values=True)
        if name not in _IGNORED
    }
    schema = given.pop("search_path", None)
    options = [_SESSION, given.pop("options", ""), f"-c search_path={schema}" if schema else ""]
    merged = {**_DEFAULTS, **given, "options": " ".join(part for part in options if part)}
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in merged.items())
    return urlunsplit((scheme, netloc, path, text, fragment))
