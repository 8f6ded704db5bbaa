"""Say which of the services that tests use can be reached, before the tests start."""

import os
import socket
import sys
from urllib.parse import urlsplit

SERVICES = {
    "PostgreSQL": os.environ.get(
        "PENSTOCK_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test"
    ),
    "Redis": os.environ.get("PENSTOCK_TEST_REDIS", "redis://127.0.0.1:6379/0"),
}


def reachable(url: str) -> bool:
    """Whether something listens where `url` points."""
    parts = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((parts.hostname or "127.0.0.1", parts.port or 0)) == 0


def main() -> int:
    for name, url in SERVICES.items():
        state = "found" if reachable(url) else "not found: its tests are skipped"
        print(f"{name:<10} {urlsplit(url).hostname}:{urlsplit(url).port}  {state}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
