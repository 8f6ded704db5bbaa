"""What a lock manager can do."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class LockManager(Protocol):
    """Locks on keys.

    A lock belongs to a holder, a name that the caller chooses; the holder of a lock may acquire
    it again. `acquire_timeout` is how many seconds to wait for it (None: for ever), `hold_timeout`
    after how many seconds it frees itself (None: never).
    """

    def acquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Whether `holder` has the lock now."""
        ...

    async def aacquire_lock(
        self,
        key: str,
        holder: str,
        acquire_timeout: float | None = None,
        hold_timeout: float | None = None,
    ) -> bool:
        """Whether `holder` has the lock now."""
        ...

    def release_lock(self, key: str, holder: str) -> None:
        """Frees the lock. Raises `ValueError` when `holder` does not have it."""
        ...

    def is_locked(self, key: str) -> bool:
        """Whether anybody has the lock."""
        ...

    def is_lock_holder(self, key: str, holder: str) -> bool:
        """Whether `holder` has the lock."""
        ...

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Waits until nobody has the lock; False when `timeout` seconds pass first."""
        ...

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        """Waits until nobody has the lock; False when `timeout` seconds pass first."""
        ...
