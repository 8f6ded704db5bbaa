"""Sealing the audit trail behind its writers, and deleting what has been kept long enough."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from penstock.schemas.errors import ObjectConflict
from penstock.server.ops import audit_seals
from penstock.server.ops.context import Context, service
from penstock.server.store.store import Store

logger = logging.getLogger("penstock.server.audit")


class AuditSeals:
    """Seals what was recorded since the last round, a segment in a transaction.

    The last seal is logged: kept with the logs, outside of the database, it shows whether
    somebody put a whole new chain in place of the old one.
    """

    name = "audit-seals"

    def __init__(
        self,
        store: Store,
        *,
        interval_seconds: float = 60.0,
        encryption_keys: Sequence[bytes] = (),
        segment_rows: int = audit_seals.SEGMENT_ROWS,
    ) -> None:
        self.interval_seconds = interval_seconds
        self._store = store
        self._rows = segment_rows
        self._context = Context(actor=service(self.name), encryption_keys=tuple(encryption_keys))

    async def run_once(self, now: datetime) -> int:
        """Seal all there is; how many rows that were."""
        done = 0
        last = None
        while segment := await self._store.read(
            audit_seals.next_segment, self._context, rows=self._rows
        ):
            try:
                kept = await self._store.write(audit_seals.seal, self._context, segment)
            except ObjectConflict:
                kept = False
            if not kept:
                break  # another server of the same database is at it
            done += segment.rows
            last = segment
        if last is not None:
            logger.info("audit trail sealed up to segment %d: %s", last.number, last.head)
        return done


class AuditRetention:
    """Deletes audit rows by whole months, once all of a month is older than `days`.

    The seals of what is deleted stay, so that the rest can still be verified.
    """

    name = "audit-retention"

    def __init__(
        self,
        store: Store,
        *,
        days: int,
        sealed: bool,
        interval_seconds: float = 3600.0,
        batch: int = 200,
        encryption_keys: Sequence[bytes] = (),
    ) -> None:
        self.interval_seconds = interval_seconds
        self._store = store
        self._days = days
        self._sealed = sealed
        self._batch = batch
        self._context = Context(actor=service(self.name), encryption_keys=tuple(encryption_keys))

    async def run_once(self, now: datetime) -> int:
        before = (now - timedelta(days=self._days)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        total = 0
        while count := await self._store.write(
            audit_seals.delete_expired_segment, self._context, before
        ):
            total += count
        while not self._sealed:
            count = await self._store.write(
                audit_seals.delete_expired_rows, self._context, before, self._batch
            )
            total += count
            if count < self._batch:
                break
        return total
