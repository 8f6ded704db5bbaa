"""Filters on the audit trail as SQL."""

from collections.abc import Iterable
from typing import Any

from penstock.schemas.audit import AuditFilter, AuditFilterBody, AuditOrder
from penstock.schemas.shapes import Operator
from penstock.server.domain.text_query import parse
from penstock.server.store.selection.conditions import (
    Part,
    among,
    begins_with,
    joined,
    like,
    text_matches,
)
from penstock.server.store.selection.events import in_json
from penstock.server.store.selection.feed import where_clause
from penstock.server.store.transaction import Dialect

# True of every other kind than runs; said so that the index `audit_by_name` can be used.
_INDEXED_BY_NAME = Part(
    "(audit.kind <> 'flow-run' OR audit.before IS NULL OR audit.action = 'updated')"
)


def select_audit(body: AuditFilterBody, dialect: Dialect, limit: int) -> tuple[str, list[Any]]:
    """Up to `limit` rows of the filter behind the place `after`, in order of `seq`."""
    descending = body.order is AuditOrder.DESC
    parts = list(_parts(body.filter or AuditFilter(), dialect))
    if body.after is not None:
        parts.append(Part(f"audit.seq {'<' if descending else '>'} ?", (body.after,)))
    where = joined(parts)
    direction = "DESC" if descending else "ASC"
    return (
        f"SELECT audit.* FROM audit{where_clause(where)} ORDER BY audit.seq {direction} LIMIT ?",
        [*where.params, limit],
    )


def _parts(given: AuditFilter, dialect: Dialect) -> Iterable[Part]:
    if given.at is not None:
        if given.at.since is not None:
            yield Part("audit.at >= ?", (given.at.since,))
        if given.at.until is not None:
            yield Part("audit.at <= ?", (given.at.until,))
    if given.actor is not None:
        for column in ("type", "id", "name"):
            value = getattr(given.actor, column)
            if value is not None:
                yield Part(f"audit.actor_{column} = ?", (value,))
        if given.actor.like is not None:
            yield like("audit.actor_name")(given.actor.like, dialect) or joined(())
    if given.action is not None:
        yield among("audit.action", given.action.any_, dialect)
    if given.kind is not None:
        yield among("audit.kind", given.kind.any_, dialect)
    if given.object is not None:
        if given.object.id is not None:
            yield Part("audit.object_id = ?", (given.object.id,))
        if given.object.name is not None:
            yield Part("audit.object_name = ?", (given.object.name,))
            if given.kind is not None and "flow-run" not in given.kind.any_:
                yield _INDEXED_BY_NAME
    if given.request_id is not None:
        yield Part("audit.request_id = ?", (given.request_id,))
    if given.changed_path is not None:
        yield _changed(given.changed_path.any_, dialect)
    if given.text is not None:
        yield _text(given.text, dialect)


def _changed(paths: list[str], dialect: Dialect) -> Part:
    """A change at one of the paths, or below it."""
    if dialect == "sqlite":
        source, path = "json_each(audit.changes) AS change", "json_extract(change.value, '$.path')"
    else:
        source = "json_array_elements(audit.changes::json) AS change(value)"
        path = "(change.value ->> 'path')"
    tests = [among(path, paths, dialect)]
    if paths:
        tests.append(begins_with(path, [f"{one}/" for one in paths]))
    inner = joined(tests, Operator.OR)
    return Part(f"EXISTS (SELECT 1 FROM {source} WHERE {inner.sql})", inner.params)


def _text(query: str, dialect: Dialect) -> Part:
    return text_matches(
        parse(query),
        dialect,
        [
            ("audit.object_name", str),
            ("coalesce(audit.actor_name, '')", str),
            ("audit.action", str),
            ("audit.changes", in_json),
            ("coalesce(audit.after, '')", in_json),
            ("coalesce(audit.before, '')", in_json),
        ],
    )
