"""Getting SQLite's log to disk beside the writer, and only then telling who waits.

A commit of the writer leaves its pages in the system's cache. The flusher writes them to disk on
a thread of its own and hands out the outcomes after that, so that what was acknowledged survives
a power cut while the writer goes on with the operations that wait. One flush serves all groups
that were committed meanwhile.

Commits reach the log in their order, so what a power cut takes away is always the newest part,
none of it acknowledged.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import NamedTuple

from penstock.schemas.errors import ServiceUnavailable
from penstock.server.store.jobs import Job, settle

_logger = logging.getLogger(__name__)

sync_file: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Commit(NamedTuple):
    """Operations that were committed together and the topics they wake."""

    jobs: list[Job]
    topics: set[str]


class Flusher:
    """Flushes the log `path` for one store.

    `woke` is called with the topics of what reached the disk, before its callers are resumed.
    `restart_log` must bring everything in the log safely into the database file and start the log
    anew, or raise. It is needed after a flush failed: the system then may have dropped pages that
    a later flush does not write, and no later commit could be found behind the gap.
    """

    def __init__(
        self,
        path: str,
        woke: Callable[[Iterable[str]], None],
        restart_log: Callable[[], None],
    ) -> None:
        self._path = path
        self._woke = woke
        self._restart_log = restart_log
        self._waiting: SimpleQueue[Commit | None] = SimpleQueue()
        self._file: int | None = None
        self._gap = False
        self._thread: threading.Thread | None = None

    def submit(self, commit: Commit) -> None:
        """Have the outcomes handed out once the log is on disk. Called by the writer alone."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._serve, name="penstock-sqlite-flusher", daemon=True
            )
            self._thread.start()
        self._waiting.put(commit)

    def stop(self) -> None:
        """Flush what was submitted and end."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _serve(self) -> None:
        stopping = False
        while not stopping:
            commits = [self._waiting.get()]
            try:
                while True:
                    commits.append(self._waiting.get_nowait())
            except Empty:
                pass
            stopping = None in commits
            self._finish([commit for commit in commits if commit is not None])

    def _finish(self, commits: list[Commit]) -> None:
        jobs = [job for commit in commits for job in commit.jobs]
        if not jobs:
            return
        try:
            self._flush()
        except Exception as error:
            self._gap = True
            _logger.exception("the log %s could not be written to disk", self._path)
            failure = ServiceUnavailable(
                f"the change was not written to disk ({error}) and may get lost; free disk space"
                " or replace the disk, then try again"
            )
            for job in jobs:
                if job.error is None:
                    job.fail(failure)
        else:
            self._woke({topic for commit in commits for topic in commit.topics})
        settle(jobs)

    def _flush(self) -> None:
        if self._gap:
            self._restart_log()
            self._gap = False
        sync_file(self._log())

    def _log(self) -> int:
        """The log's file, opened anew if another process replaced it."""
        if self._file is not None and os.fstat(self._file).st_nlink == 0:
            os.close(self._file)
            self._file = None
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR)
        return self._file
