"""The two ways to carry effects out: `sync` in the caller's thread, `aio` on the caller's loop."""
