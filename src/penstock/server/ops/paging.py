"""How many objects a list answers with, and the arithmetic of numbered pages."""

from penstock.schemas.errors import RequestInvalid
from penstock.server.ops.context import Context


def page_limit(context: Context, limit: int | None) -> int:
    """The number of objects to answer with: `limit`, or the server's page size when it is null.

    Refuses a negative limit and one above the page size; zero is a page without objects.
    """
    maximum = context.limits.page
    if limit is None:
        return maximum
    if not 0 <= limit <= maximum:
        raise RequestInvalid(f"limit is {limit}; send a number from 0 to {maximum}")
    return limit


def page_count(count: int, limit: int) -> int:
    """How many pages of `limit` objects hold `count` objects; none when a page holds nothing."""
    return -(-count // limit) if limit else 0
