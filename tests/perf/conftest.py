from tests.databases import clock, world

__all__ = ["clock", "world"]
