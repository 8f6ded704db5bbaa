"""What the server sends to addresses that users configured: webhooks, notifications, mail.

Every call goes through the guard of `penstock.base.outgoing`. It carries a key that is the same
for every try, so that receivers can drop repetitions, and a signature when a key is configured.
"""

import hashlib
import hmac
import smtplib
import ssl
import time
from collections.abc import Mapping
from email.message import EmailMessage

from msgspec import Struct
from msgspec.structs import replace

from penstock.base.outgoing import (
    AddressRefused,
    Answer,
    Call,
    CallFailed,
    Resolve,
    checked,
    resolve,
    send,
)
from penstock.blocks.messages import Mail

IDEMPOTENCY_HEADER = "Idempotency-Key"
SIGNATURE_HEADER = "Penstock-Signature"


class OutboundPolicy(Struct, frozen=True, kw_only=True):
    """What may be called, and how calls are signed."""

    allow_private: bool = False
    signing_key: str = ""
    seconds: float = 30.0


class Outbound:
    """Sends calls and mails. Blocks; run it on a thread of its own."""

    def __init__(self, policy: OutboundPolicy, resolve: Resolve = resolve) -> None:
        self._policy = policy
        self._resolve = resolve

    def call(self, call: Call, *, key: str, allow_private: bool = True) -> Answer:
        """The answer, whatever its status. `key` tells tries of one action from others.

        Raises `AddressRefused` and `CallFailed`.
        """
        headers = {**call.headers, IDEMPOTENCY_HEADER: key, "User-Agent": "penstock"}
        if self._policy.signing_key:
            headers[SIGNATURE_HEADER] = signature(
                self._policy.signing_key, call.body, int(time.time())
            )
        return send(
            replace(call, headers=headers),
            allow_private=self._policy.allow_private and allow_private,
            seconds=self._policy.seconds,
            resolve=self._resolve,
        )

    def mail(self, mail: Mail, *, key: str) -> None:
        """Hand a mail to its server. Raises `AddressRefused` and `CallFailed`."""
        _, addresses = checked(
            f"http://{mail.host}:{mail.port}",
            allow_private=self._policy.allow_private,
            resolve=self._resolve,
        )
        message = EmailMessage()
        message["From"] = mail.sender
        message["To"] = ", ".join(mail.recipients)
        message["Subject"] = " ".join(mail.subject.split())
        message["Message-ID"] = f"<{key}@penstock>"
        message.set_content(mail.body)
        try:
            with _server(mail, addresses[0], self._policy.seconds) as server:
                if mail.encryption == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if mail.username:
                    server.login(mail.username, mail.password or "")
                server.send_message(message)
        except smtplib.SMTPResponseException as error:
            text = f"the mail server answered {error.smtp_code}: {_text(error.smtp_error)}"
            # 4xx of a mail server is what 5xx is of a web server: it may work later.
            raise (CallFailed(text) if error.smtp_code < 500 else AddressRefused(text)) from None
        except smtplib.SMTPRecipientsRefused:
            raise AddressRefused("the mail server refused every recipient") from None
        except (OSError, smtplib.SMTPException) as error:
            raise CallFailed(f"{type(error).__name__}: {error}") from error


class _Smtp(smtplib.SMTP):
    """Connects to the address that was checked, and checks the certificate of the name."""

    def __init__(self, address: str, mail: Mail, seconds: float) -> None:
        super().__init__(timeout=seconds)
        self.connect(address, mail.port)
        # `starttls` compares the certificate with this name.
        self._host = mail.host


class _SmtpOverTls(smtplib.SMTP_SSL):
    def __init__(self, address: str, mail: Mail, seconds: float) -> None:
        super().__init__(timeout=seconds, context=ssl.create_default_context())
        self._host = mail.host
        self.connect(address, mail.port)


def _server(mail: Mail, address: str, seconds: float) -> smtplib.SMTP:
    kind = _SmtpOverTls if mail.encryption == "tls" else _Smtp
    return kind(address, mail, seconds)


def _text(error: bytes | str) -> str:
    return error.decode(errors="replace") if isinstance(error, bytes) else error


def signature(key: str, body: bytes, at: int) -> str:
    """`t=<seconds>,v1=<hex>`: the HMAC-SHA256 of `<seconds>.<body>` under the key."""
    signed = hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """How many seconds a receiver asks to wait; None when it does not, or gives a date."""
    try:
        return float(headers["retry-after"])
    except (KeyError, ValueError):
        return None
