"""Operations on saved searches. They belong to a user interface and emit no events."""

from penstock.base.ids import uuid7
from penstock.schemas.errors import ObjectMissing
from penstock.schemas.saved_searches import SavedSearch, SavedSearchCreate, SavedSearchesPage
from penstock.server.ops.context import Context, Made
from penstock.server.ops.paging import page_limit
from penstock.server.store.transaction import Row, Tx


def create_saved_search(tx: Tx, context: Context, *, body: SavedSearchCreate) -> Made[SavedSearch]:
    """The search of that name with these filters, made when there is none."""
    made = tx.run(
        "saved_search.insert", id=uuid7(), name=body.name, filters=body.filters, now=tx.now
    )
    if not made:
        tx.run("saved_search.set_filters", name=body.name, filters=body.filters, now=tx.now)
    row = tx.one("saved_search.get_by_name", name=body.name)
    if row is None:
        raise ObjectMissing(f"saved search {body.name!r} was deleted while it was saved; repeat")
    return Made(_view(row), made > 0)


def read_saved_search(tx: Tx, context: Context, id: str) -> SavedSearch:
    row = tx.one("saved_search.get", id=id)
    if row is None:
        raise _missing(id)
    return _view(row)


def read_saved_searches(
    tx: Tx, context: Context, *, body: SavedSearchesPage | None = None
) -> list[SavedSearch]:
    """A page of the saved searches by name."""
    body = body or SavedSearchesPage()
    limit = page_limit(context, body.limit)
    return [_view(row) for row in tx.all("saved_search.page", limit=limit, offset=body.offset)]


def delete_saved_search(tx: Tx, context: Context, id: str) -> None:
    if not tx.run("saved_search.delete", id=id):
        raise _missing(id)


def _missing(id: str) -> ObjectMissing:
    return ObjectMissing(f"saved search {id} does not exist; list saved searches to find its id")


def _view(row: Row) -> SavedSearch:
    return SavedSearch(
        id=row["id"],
        created=row["created"],
        updated=row["updated"],
        name=row["name"],
        filters=row["filters"],
    )
