"""Operations: Saved searches of the UI."""

from uuid import UUID

from penstock.schemas.operations.operation import Operation, table
from penstock.schemas.saved_searches import SavedSearch, SavedSearchCreate, SavedSearchesPage

OPERATIONS = table(
    Operation(
        name="create_saved_search",
        method="PUT",
        path="/saved_searches/",
        body=SavedSearchCreate,
        response=SavedSearch,
        created=True,
        repeatable=True,
    ),
    Operation(
        name="read_saved_searches",
        method="POST",
        path="/saved_searches/filter",
        body=SavedSearchesPage,
        body_required=False,
        response=list[SavedSearch],
        repeatable=True,
    ),
    Operation(
        name="delete_saved_search",
        method="DELETE",
        path="/saved_searches/{id}",
        params=(UUID,),
        status=204,
        errors=(404,),
        repeatable=True,
    ),
    Operation(
        name="read_saved_search",
        method="GET",
        path="/saved_searches/{id}",
        params=(UUID,),
        response=SavedSearch,
        errors=(404,),
        repeatable=True,
    ),
)
