"""What an operation sees of the database: one transaction.

An operation is a plain function `op(tx, ...)`, run by `Store.write` or `Store.read`. It never
begins, commits or rolls back; an exception out of it undoes what it wrote and nothing else.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

Dialect = Literal["sqlite", "postgresql"]

Row = dict[str, Any]
"""One result row by column name. By the conventions of `store/columns.py` an instant column holds
an aware `datetime`, a document column `msgspec.Raw` JSON (or None), a flag a bool, an id text."""


class Tx(Protocol):
    """One open transaction.

    Statements are named in `store/sql/*.sql`. Parameters are adapted by their Python type:
    datetime (aware) to microseconds, UUID to text, a `msgspec.Struct`, dict, list or `Raw` to
    JSON text, bool and enum members to what the database stores.
    """

    now: datetime
    """One instant for everything this transaction writes."""
    dialect: Dialect

    def one(self, name: str, /, **params: Any) -> Row | None:
        """The first row of the named statement, or None."""
        ...

    def all(self, name: str, /, **params: Any) -> list[Row]:
        """All rows of the named statement."""
        ...

    def run(self, name: str, /, **params: Any) -> int:
        """Run the named statement and return the number of rows it changed."""
        ...

    def many(self, name: str, rows: Sequence[Mapping[str, Any]], /) -> int:
        """Run the named statement once per mapping, in one round trip where the driver can."""
        ...

    def fetch(self, sql: str, params: Sequence[Any], /) -> list[Row]:
        """Rows of a statement that the filter compiler assembled; `?` marks each parameter."""
        ...

    def fetch_values(
        self, sql: str, params: Sequence[Any], /
    ) -> tuple[tuple[str, ...], Sequence[Sequence[Any]]]:
        """As `fetch`, the columns and the bare values of each row, for long lists."""
        ...

    def wake(self, topic: str, /) -> None:
        """Wake whoever waits on `topic`, after the commit and only then."""
        ...
