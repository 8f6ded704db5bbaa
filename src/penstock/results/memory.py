"""The records that were used last."""

import threading
from collections import OrderedDict
from typing import Any

from penstock.result_records import ResultRecord

CACHED_RECORDS = 1000


class RecordCache:
    """The records used last, at most `CACHED_RECORDS`; safe with threads."""

    def __init__(self, size: int = CACHED_RECORDS) -> None:
        self._size = size
        self._records: OrderedDict[str, ResultRecord[Any]] = OrderedDict()
        self._mutex = threading.Lock()

    def get(self, key: str) -> ResultRecord[Any] | None:
        with self._mutex:
            record = self._records.get(key)
            if record is not None:
                self._records.move_to_end(key)
            return record

    def put(self, key: str, record: ResultRecord[Any]) -> None:
        with self._mutex:
            self._records[key] = record
            self._records.move_to_end(key)
            if len(self._records) > self._size:
                self._records.popitem(last=False)

    def __len__(self) -> int:
        return len(self._records)


def default_cache() -> RecordCache:
    """An empty memory of records, of the usual size."""
    return RecordCache()
