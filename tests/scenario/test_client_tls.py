"""The HTTP transport over TLS and through a proxy."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scripted_api import Answer, ScriptedApi

from penstock.client.exchange import TransportFailure, build, operation
from penstock.client.http import HttpTransport, Tls

REQUEST = build(operation("hello"), (), None, {})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate and is not installed (2026-11-25)")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    certificate.write_text(certificate.read_text() + key.read_text())
    return certificate


@pytest.fixture
def api(certificate: Path) -> Iterator[ScriptedApi]:
    with ScriptedApi({("GET", "/hello"): Answer(200, "hi")}) as api:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        api._server.socket = context.wrap_socket(api._server.socket, server_side=True)
        yield api


def transport(api: ScriptedApi, tls: Tls) -> HttpTransport:
    return HttpTransport(api.url.replace("http:", "https:"), timeout=10, tls=tls)


def test_a_trusted_server_is_reached_over_one_kept_connection(api: ScriptedApi, certificate: Path):
    sender = transport(api, Tls(ca_file=str(certificate)))
    assert [sender.send(REQUEST).body for _ in range(3)] == [b'"hi"'] * 3
    assert api.connections == 1
    sender.close()


def test_an_unknown_certificate_is_refused(api: ScriptedApi):
    with pytest.raises(TransportFailure, match="CERTIFICATE_VERIFY_FAILED") as caught:
        transport(api, Tls()).send(REQUEST)
    assert not caught.value.connected
    assert api.heard == []


def test_verification_can_be_switched_off(api: ScriptedApi):
    sender = transport(api, Tls(verify=False))
    assert sender.send(REQUEST).ok
    sender.close()


def test_a_proxy_gets_the_whole_address_and_its_own_credentials(monkeypatch: pytest.MonkeyPatch):
    url = "http://api.invalid/api/hello"
    with ScriptedApi({("GET", url): Answer(200, "hi")}) as proxy:
        address = proxy.url.removesuffix("/api").replace("://", "://user:pass@")
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        sender = HttpTransport("http://api.invalid/api", timeout=10)
        assert sender.send(REQUEST).body == b'"hi"'
        heard = proxy.heard[0]
        assert heard.headers["host"] == "api.invalid"
        assert heard.headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"
        sender.close()
    with ScriptedApi({("GET", "/hello"): Answer(200, "direct")}) as api:
        sender = HttpTransport(api.url, timeout=10)
        assert sender.send(REQUEST).body == b'"direct"'
        sender.close()
