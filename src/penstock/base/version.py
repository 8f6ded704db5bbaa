"""Version numbers: of this package, and of the API both sides speak."""

VERSION = "0.1.0"
API_VERSION = "0.8.4"
"""What the server answers at `/version` and clients send as `X-PREFECT-API-VERSION`."""
PEER_VERSION = "3.7.4"
"""The newest release of the peer whose wire contract this package implements."""
