"""The bus of a server that is alone: everything stays in this process."""

from penstock.server.bus.interface import LocalBus


class MemoryBus(LocalBus):
    """Wake-ups and copies within one process."""
