import pytest

from penstock.server.security.origin import OriginRule


def rule(
    origins: tuple[str, ...] = ("*",), hosts: tuple[str, ...] = (), *, credentials: bool = False
) -> OriginRule:
    return OriginRule(
        allowed_origins=frozenset(origins),
        allowed_hosts=frozenset(hosts),
        credentials_required=credentials,
    )


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, b"127.0.0.1:4200"),
        (b"http://127.0.0.1:4200", b"127.0.0.1:4200"),
        (b"http://localhost:3000", b"127.0.0.1:4200"),
        (b"http://[::1]:3000", b"localhost:4200"),
        (b"https://flows.example.com", b"flows.example.com"),
    ],
)
def test_programs_and_own_pages_are_trusted(origin: bytes | None, host: bytes):
    assert rule().trusts(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (b"https://evil.example", b"127.0.0.1:4200"),
        (b"null", b"127.0.0.1:4200"),
        (b"", b"127.0.0.1:4200"),
        (b"http://localhost.evil.example", b"127.0.0.1:4200"),
        (b"http://127.0.0.1.evil.example", b"127.0.0.1:4200"),
        (b"http://localhost:3000", b"flows.example.com"),
        (b"http://[", b"127.0.0.1:4200"),
        (b"https://evil.example", None),
        (b"\xff\xfe", b"127.0.0.1:4200"),
    ],
)
def test_foreign_pages_are_not_trusted(origin: bytes, host: bytes | None):
    assert not rule().trusts(origin, host)


def test_any_page_is_served_where_credentials_are_needed():
    assert rule(credentials=True).trusts(b"https://dashboard.example", b"flows.example.com")
    listed = rule(("https://dashboard.example",), credentials=True)
    assert listed.trusts(b"https://dashboard.example", b"flows.example.com")
    assert not listed.trusts(b"https://evil.example", b"flows.example.com")


@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:4200", b"127.0.0.1:4200", b"[::1]:4200", b"10.0.0.7", None]
)
def test_hosts_that_are_answered(host: bytes | None):
    assert rule(hosts=("localhost",)).serves_host(host)


@pytest.mark.parametrize(
    "host", [b"evil.example", b"localhost.evil.example:4200", b"", b"[", b"127.0.0.1.evil.example"]
)
def test_hosts_that_are_not_answered(host: bytes):
    assert not rule(hosts=("localhost",)).serves_host(host)
    assert rule(hosts=()).serves_host(host)
