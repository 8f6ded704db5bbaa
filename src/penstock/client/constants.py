"""Constants of the contract."""

from penstock.base.version import API_VERSION

SERVER_API_VERSION = API_VERSION

__all__ = ["SERVER_API_VERSION"]
