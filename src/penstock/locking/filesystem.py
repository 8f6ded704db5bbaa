"""Locks between processes that share a directory.

A lock is a file `<key>.lock` with its holder and expiry as JSON. The files are changed only
under an exclusive `flock` of the directory's guard file, which the operating system frees when
its process dies; so two processes never both take a lock, nor one that has just expired.

A lock whose holder names this process (the default holder of a result store does) also says
which process that is, and is free when that process is dead: a killed run blocks nobody.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from penstock.base.clock import SYSTEM_CLOCK, Clock
from penstock.base.lazy import LazyModule
from penstock.hashing import stable_hash
from penstock.locking.owner import Owner, current_owner, is_dead
from penstock.locking.protocol import LockManager

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = LazyModule("asyncio")  # only coroutines need it

POLL_SECONDS = 0.1
_LONGEST_NAME = 200


class _Held(NamedTuple):
    holder: str
    expires: datetime | None
    owner: Owner | None


class FileSystemLockManager(LockManager):
    """Locks between processes that share `lock_files_directory`, which is made when missing.

    Waiting looks again every tenth of a second. Works on local disks and on network file systems
    that support `flock`.
    """

    def __init__(self, lock_files_directory: Path | str, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.lock_files_directory = Path(lock_files_directory).expanduser().resolve()
        self._clock = clock

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        deadline = self._deadline(acquire_timeout)
        while not self._take(key, holder, hold_timeout):
            if self._is_past(deadline):
                return False
            time.sleep(self._pause(deadline))
        return True

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        deadline = self._deadline(acquire_timeout)
        while not self._take(key, holder, hold_timeout):
            if self._is_past(deadline):
                return False
            await asyncio.sleep(self._pause(deadline))
        return True

    def release_lock(self, key: str, holder: str) -> None:
        with self._guard():
            held = self._current(key)
            if held is None or held.holder != holder:
                raise ValueError(f"the lock {key!r} is not held by {holder!r}; nothing is released")
            self._path(key).unlink(missing_ok=True)

    def is_locked(self, key: str, use_cache: bool = False) -> bool:
        """Whether anybody has the lock. `use_cache` is accepted and has no effect: the file is
        always read, so the answer is never old."""
        return self._current(key) is not None

    def is_lock_holder(self, key: str, holder: str) -> bool:
        held = self._current(key)
        return held is not None and held.holder == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        deadline = self._deadline(timeout)
        while self.is_locked(key):
            if self._is_past(deadline):
                return False
            time.sleep(self._pause(deadline))
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        deadline = self._deadline(timeout)
        while self.is_locked(key):
            if self._is_past(deadline):
                return False
            await asyncio.sleep(self._pause(deadline))
        return True

    def _take(self, key: str, holder: str, hold_timeout: float | None) -> bool:
        with self._guard():
            held = self._current(key)
            if held is not None and held.holder != holder:
                return False
            expires = None
            if hold_timeout is not None:
                expires = (self._clock.now() + timedelta(seconds=hold_timeout)).isoformat()
            path = self._path(key)
            partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
            content: dict[str, Any] = {"key": key, "holder": holder, "expiration": expires}
            if holder.startswith(f"{os.uname().nodename}:{os.getpid()}:"):
                content["owner"] = current_owner()
            partial.write_text(json.dumps(content))
            partial.replace(path)
            return True

    def _current(self, key: str) -> _Held | None:
        try:
            content = json.loads(self._path(key).read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            # Only a machine that lost power leaves half a file; nobody there holds it any more.
            return None
        expires = content.get("expiration")
        owner = content.get("owner")
        held = _Held(
            content["holder"],
            datetime.fromisoformat(expires).astimezone(UTC) if expires else None,
            Owner(*owner) if owner else None,
        )
        if held.expires is not None and held.expires <= self._clock.now():
            return None
        if held.owner is not None and is_dead(held.owner):
            return None
        return held

    def _path(self, key: str) -> Path:
        name = quote(key, safe="")
        if len(name) > _LONGEST_NAME:
            name = stable_hash(key)
        return self.lock_files_directory / f"{name}.lock"

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Holds the directory against every other process and thread; only for the time it takes
        to read and write one small file."""
        guard = self.lock_files_directory / ".guard"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor = os.open(guard, flags, 0o666)
        except FileNotFoundError:
            self.lock_files_directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(guard, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _deadline(self, timeout: float | None) -> float | None:
        return None if timeout is None else self._clock.monotonic() + timeout

    def _is_past(self, deadline: float | None) -> bool:
        return deadline is not None and self._clock.monotonic() >= deadline

    def _pause(self, deadline: float | None) -> float:
        if deadline is None:
            return POLL_SECONDS
        return max(min(POLL_SECONDS, deadline - self._clock.monotonic()), 0)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FileSystemLockManager)
            and other.lock_files_directory == self.lock_files_directory
        )

    def __hash__(self) -> int:
        return hash((FileSystemLockManager, self.lock_files_directory))
