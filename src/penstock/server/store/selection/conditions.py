"""Pieces of a WHERE clause, and how a filter struct becomes one.

A table maps each path of a filter (`state.type.any_`) to the condition it makes. A condition that
says nothing (an empty `not_any_`) is None and takes no part; a filter object without conditions
is true, which under `or_` makes the whole true.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from penstock.schemas.shapes import Operator
from penstock.server.domain.text_query import TextTerms, parse
from penstock.server.store.transaction import Dialect


class Part(NamedTuple):
    """SQL with a `?` for each of its parameters. Empty SQL is true."""

    sql: str
    params: tuple[Any, ...] = ()


TRUE = Part("")
FALSE = Part("1 = 0")

Condition = Callable[[Any, Dialect], Part | None]
Table = Mapping[str, Condition]


def joined(parts: Iterable[Part], operator: Operator = Operator.AND) -> Part:
    """The parts as one, in brackets where that matters."""
    given = list(parts)
    kept = [part for part in given if part.sql]
    if not kept or (operator is Operator.OR and len(kept) < len(given)):
        return TRUE
    if len(kept) == 1:
        return kept[0]
    word = " OR " if operator is Operator.OR else " AND "
    return Part(
        "(" + word.join(part.sql for part in kept) + ")",
        tuple(value for part in kept for value in part.params),
    )


def where_clause(part: Part) -> str:
    return f" WHERE {part.sql}" if part.sql else ""


def compiled(given: Struct, table: Table, dialect: Dialect, path: str = "") -> Part:
    """What a filter asks for. Raises `KeyError` for a member the table does not know."""
    parts = []
    for field in given.__struct_fields__:
        value = getattr(given, field)
        if value is None or field == "operator":
            continue
        if isinstance(value, Struct):
            parts.append(compiled(value, table, dialect, f"{path}{field}."))
        else:
            part = table[path + field](value, dialect)
            if part is not None:
                parts.append(part)
    return joined(parts, getattr(given, "operator", Operator.AND))


def values_of(dialect: Dialect) -> str:
    """A subquery over the texts of one parameter that is a JSON list."""
    if dialect == "sqlite":
        return "SELECT value FROM json_each(?)"
    return "SELECT json_array_elements_text(?::json)"


def among(column: str, wanted: list[Any], dialect: Dialect) -> Part:
    """`column` is one of `wanted`. Any number of values is one parameter."""
    if not wanted:
        return FALSE
    if len(wanted) == 1:
        return Part(f"{column} = ?", (wanted[0],))
    if dialect == "sqlite":
        return Part(f"{column} IN ({values_of(dialect)})", (wanted,))
    return Part(f"{column} = ANY(ARRAY({values_of(dialect)}))", (wanted,))


def any_of(column: str) -> Condition:
    return lambda wanted, dialect: among(column, wanted, dialect)


def any_name_of(column: str) -> Condition:
    """As `any_of`, of a text column whose index has the order of code points."""

    def condition(wanted: list[Any], dialect: Dialect) -> Part:
        place = f'{column} COLLATE "C"' if dialect == "postgresql" else column
        return among(place, wanted, dialect)

    return condition


def none_of(column: str) -> Condition:
    """Rows where the column is null match neither `any_` nor `not_any_`."""

    def condition(unwanted: list[Any], dialect: Dialect) -> Part | None:
        if not unwanted:
            return None
        inner = among(column, unwanted, dialect)
        return Part(f"NOT ({inner.sql})", inner.params)

    return condition


def is_null(column: str) -> Condition:
    return lambda wanted, _: Part(f"{column} IS NULL" if wanted else f"{column} IS NOT NULL")


def at_least(column: str) -> Condition:
    return lambda bound, _: Part(f"{column} >= ?", (bound,))


def at_most(column: str) -> Condition:
    return lambda bound, _: Part(f"{column} <= ?", (bound,))


def like(column: str) -> Condition:
    """A substring in any case; nothing in it is a wildcard."""

    def condition(wanted: str, dialect: Dialect) -> Part | None:
        if not wanted:
            return None
        escaped = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        word = "LIKE" if dialect == "sqlite" else "ILIKE"
        return Part(f"{column} {word} ? ESCAPE '\\'", (f"%{escaped}%",))

    return condition


def begins_with(column: str, prefixes: list[str]) -> Part:
    return joined(
        (Part(f"substr({column}, 1, {len(prefix)}) = ?", (prefix,)) for prefix in prefixes),
        Operator.OR,
    )


def has_all_tags(column: str) -> Condition:
    def condition(wanted: list[str], dialect: Dialect) -> Part | None:
        if not wanted:
            return None
        if dialect == "sqlite":
            return Part(
                f"NOT EXISTS (SELECT 1 FROM json_each(?) AS wanted"
                f" WHERE wanted.value NOT IN (SELECT value FROM json_each({column})))",
                (wanted,),
            )
        return Part(f"{column}::jsonb @> ?::jsonb", (wanted,))

    return condition


def has_any_tag(column: str) -> Condition:
    def condition(wanted: list[str], dialect: Dialect) -> Part:
        if not wanted:
            return FALSE
        tags = (
            f"json_each({column})"
            if dialect == "sqlite"
            else f"json_array_elements_text({column}::json)"
        )
        inner = among("tag.value", wanted, dialect)
        return Part(f"EXISTS (SELECT 1 FROM {tags} AS tag WHERE {inner.sql})", inner.params)

    return condition


def has_no_tags(column: str) -> Condition:
    return lambda wanted, _: Part(f"{column} {'=' if wanted else '<>'} '[]'")


def contains(column: str, term: str, dialect: Dialect) -> Part:
    """A substring, letters A to Z in any case; `term` is given in lower case."""
    if dialect == "sqlite":
        return Part(f"instr(lower({column}), ?) > 0", (term,))
    return Part(f'strpos(lower({column} COLLATE "C"), ?) > 0', (term,))


def text_matches(
    terms: TextTerms, dialect: Dialect, fields: Iterable[tuple[str, Callable[[str], str]]]
) -> Part:
    """The text query grammar over some columns, each with the spelling a term has in it."""
    columns = list(fields)

    def found(term: str) -> Part:
        return joined(
            (contains(column, spell(term), dialect) for column, spell in columns), Operator.OR
        )

    parts = [found(term) for term in terms.required]
    for part in map(found, terms.excluded):
        parts.append(Part(f"NOT ({part.sql})", part.params))
    parts.append(joined(map(found, terms.alternatives), Operator.OR))
    return joined(parts)


def text_in(*columns: str) -> Condition:
    """A text query over columns that hold plain text."""
    return lambda query, dialect: text_matches(
        parse(query), dialect, [(column, str) for column in columns]
    )
