"""Whether a log record matches a filter: the live counterpart of the log query."""

from collections.abc import Iterator

from penstock.schemas.filters import TextQuery, TimeBounds
from penstock.schemas.logs import LogCreate, LogFilter, LogFilterLevel, LogFilterTaskRunId
from penstock.schemas.shapes import Operator
from penstock.server.domain.text_query import folded, parse


def matches(filter: LogFilter, log: LogCreate) -> bool:
    """Whether `log` passes `filter`; a filter without conditions passes everything."""
    results = list(_conditions(filter, log))
    if not results:
        return True
    return any(results) if filter.operator is Operator.OR else all(results)


def _conditions(filter: LogFilter, log: LogCreate) -> Iterator[bool]:
    if filter.level is not None:
        yield from _level(filter.level, log.level)
    if filter.flow_run_id is not None and filter.flow_run_id.any_ is not None:
        yield log.flow_run_id in filter.flow_run_id.any_
    if filter.task_run_id is not None:
        yield from _task_run(filter.task_run_id, log)
    if filter.timestamp is not None:
        yield from _time(filter.timestamp, log)
    if filter.text is not None:
        yield _text(filter.text, log)


def _level(bounds: LogFilterLevel, level: int) -> Iterator[bool]:
    if bounds.ge_ is not None:
        yield level >= bounds.ge_
    if bounds.le_ is not None:
        yield level <= bounds.le_


def _task_run(condition: LogFilterTaskRunId, log: LogCreate) -> Iterator[bool]:
    if condition.any_ is not None:
        yield log.task_run_id in condition.any_
    if condition.is_null_ is not None:
        yield (log.task_run_id is None) == condition.is_null_


def _time(bounds: TimeBounds, log: LogCreate) -> Iterator[bool]:
    if bounds.after_ is not None:
        yield log.timestamp >= bounds.after_
    if bounds.before_ is not None:
        yield log.timestamp <= bounds.before_


def _text(query: TextQuery, log: LogCreate) -> bool:
    terms = parse(query.query)
    texts = (folded(log.message), folded(log.name))

    def found(term: str) -> bool:
        return any(term in text for text in texts)

    return (
        all(map(found, terms.required))
        and not any(map(found, terms.excluded))
        and (not terms.alternatives or any(map(found, terms.alternatives)))
    )
