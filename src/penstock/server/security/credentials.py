"""Basic credentials, compared in constant time."""

import base64
import binascii
import hmac


class Credentials:
    """The one pair of credentials the API is configured with, or none.

    Comparison takes the same time for every wrong value of the same length.
    """

    def __init__(self, auth_string: str | None) -> None:
        self._secret = auth_string.encode() if auth_string else None
        self._header = b"Basic " + base64.b64encode(self._secret) if self._secret else b""

    @property
    def configured(self) -> bool:
        return self._secret is not None

    def accepts_header(self, header: bytes | None) -> bool:
        """Whether an `Authorization` header carries the credentials (always true without any)."""
        if self._secret is None:
            return True
        if header is None:
            return False
        if hmac.compare_digest(header, self._header):
            return True
        scheme, _, encoded = header.partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(given, self._secret)

    def accepts_token(self, token: str) -> bool:
        """Whether a socket's auth token is the whole auth string."""
        if self._secret is None:
            return True
        return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._secret)
