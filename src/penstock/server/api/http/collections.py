"""The bundled views of what there is to choose from: workers, blocks, flows."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from penstock.schemas.errors import ObjectMissing
from penstock.server.api.adapter import Call, Handler
from penstock.server.api.answers import Answer

DIRECTORY = Path(__file__).parents[2] / "collections"


@lru_cache(maxsize=1)
def views() -> dict[str, bytes]:
    """The JSON document of each view, by name."""
    return {path.stem: path.read_bytes() for path in sorted(DIRECTORY.glob("*.json"))}


async def read_view_content(call: Call) -> Any:
    """A view as it was packaged; no other address is ever asked for it."""
    (name,) = call.params
    content = views().get(name)
    if content is None:
        raise ObjectMissing(f"there is no view {name!r}; there are: {', '.join(views())}")
    return Answer(content)


HANDLERS: dict[str, Handler] = {"read_view_content": read_view_content}
