"""Tokens of reservations: only their hash is kept anywhere."""

import hashlib
import secrets


def new_token() -> str:
    """32 bytes of the system's randomness, as 43 characters that a URL can hold."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
