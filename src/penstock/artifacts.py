"""Artifacts: what a run shows to people. Links, Markdown, tables, progress, images.

Every function and method has a coroutine under its `a` name. An artifact made inside a run
belongs to it; with a key, it is the newest version of what that key stands for.
"""

import math
import re
import warnings
from typing import Any
from uuid import UUID

from msgspec import UNSET
from pydantic import BaseModel, ConfigDict, field_validator

from penstock.base import json
from penstock.base.dual import Invoke, Steps, dual
from penstock.base.run_context import current_run
from penstock.events.utilities import emit_event
from penstock.schemas.artifacts import Artifact as ArtifactResponse
from penstock.schemas.artifacts import (
    ArtifactCollection,
    ArtifactCollectionFilter,
    ArtifactCreate,
    ArtifactFilterKey,
    ArtifactUpdate,
    LatestArtifactsFilterPage,
)
from penstock.steps import Request

__all__ = [
    "Artifact",
    "ImageArtifact",
    "LinkArtifact",
    "MarkdownArtifact",
    "ProgressArtifact",
    "TableArtifact",
    "acreate_image_artifact",
    "acreate_link_artifact",
    "acreate_markdown_artifact",
    "acreate_progress_artifact",
    "acreate_table_artifact",
    "aupdate_progress_artifact",
    "create_image_artifact",
    "create_link_artifact",
    "create_markdown_artifact",
    "create_progress_artifact",
    "create_table_artifact",
    "update_progress_artifact",
]

_KEY = re.compile(r"[a-z0-9-]+")
Table = dict[str, list[Any]] | list[dict[str, Any]] | list[list[Any]]


class Artifact(BaseModel):
    """An artifact to be made. `data` is what is shown; `type` says how."""

    model_config = ConfigDict(extra="forbid")

    key: str | None = None
    type: str | None = None
    description: str | None = None
    data: Any = None
    metadata_: dict[str, str] | None = None
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None

    @field_validator("key")
    @classmethod
    def _check_key(cls, key: str | None) -> str | None:
        if key is not None and not _KEY.fullmatch(key):
            raise ValueError(
                f"{key!r} is no key of an artifact; use lower-case letters, digits and dashes only"
            )
        return key

    def _content(self) -> Any:
        return self.data

    def _format(self) -> Steps[Any]:
        """What is stored as the artifact's data."""
        yield from ()
        return self._content()

    def _create(self, client: Any = None) -> Steps[ArtifactResponse]:
        """Make the artifact and tell of it. Outside of a run it belongs to none, with a warning."""
        flow_run_id, task_run_id = self.flow_run_id, self.task_run_id
        run = current_run.get()
        if run is None:
            warnings.warn(
                "an artifact made outside of a run belongs to none; make it inside a flow or task",
                FutureWarning,
                stacklevel=2,
            )
        else:
            flow_run_id = flow_run_id or getattr(run.flow_run, "id", None)
            task_run_id = task_run_id or getattr(run.task_run, "id", None)
        # A subclass may format in either colour.
        data = yield Invoke(self.format)
        body = ArtifactCreate(
            key=self.key,
            type=self.type,
            description=self.description,
            data=data,
            metadata_=self.metadata_,
            flow_run_id=flow_run_id,
            task_run_id=task_run_id,
        )
        made: ArtifactResponse = yield Request("create_artifact", body=body, client=client)
        payload = {"key": made.key, "type": made.type, "description": made.description}
        _tell("created", made.id, payload, name=made.key)
        return made

    format, aformat = dual(_format)
    create, acreate = dual(_create)

    @classmethod
    def get(cls, key: str | None = None, client: Any = None, **kwargs: Any) -> Any:
        """The newest artifact of a key, None when there is none."""
        return _get_either(key, client, **kwargs)

    @classmethod
    async def aget(cls, key: str | None = None, client: Any = None) -> ArtifactResponse | None:
        """As `get`."""
        return await _aget(key, client)

    @classmethod
    def get_or_create(
        cls,
        key: str | None = None,
        description: str | None = None,
        data: Any = None,
        client: Any = None,
        **kwargs: Any,
    ) -> Any:
        """The newest artifact of a key and False; without one, a new artifact and True."""
        return _get_or_create_either(cls, key, description, data, client, **kwargs)

    @classmethod
    async def aget_or_create(
        cls,
        key: str | None = None,
        description: str | None = None,
        data: Any = None,
        client: Any = None,
        **kwargs: Any,
    ) -> tuple[ArtifactResponse, bool]:
        """As `get_or_create`."""
        return await _aget_or_create(cls, key, description, data, client, **kwargs)


class LinkArtifact(Artifact):
    """A link, shown with `link_text` or as it is."""

    type: str | None = "markdown"
    link: str
    link_text: str | None = None

    def _content(self) -> str:
        return f"[{self.link_text}]({self.link})" if self.link_text else self.link


class MarkdownArtifact(Artifact):
    """A text in Markdown."""

    type: str | None = "markdown"
    markdown: str

    def _content(self) -> str:
        return self.markdown


class TableArtifact(Artifact):
    """Rows (lists, or mappings of column to value), or a mapping of column to values."""

    type: str | None = "table"
    table: Table

    def _content(self) -> str:
        return json.text(_plain(self.table))


class ProgressArtifact(Artifact):
    """How much is done, in percent."""

    type: str | None = "progress"
    progress: float

    def _content(self) -> float:
        return _percent(self.progress)


class ImageArtifact(Artifact):
    """An image that the reader's browser fetches from its address."""

    type: str | None = "image"
    image_url: str

    def _content(self) -> str:
        return self.image_url


def _get(key: str | None, client: Any) -> Steps[ArtifactResponse | None]:
    if key is None:
        return None
    only = ArtifactCollectionFilter(key=ArtifactFilterKey(any_=[key]))
    body = LatestArtifactsFilterPage(artifacts=only, limit=1)
    found: list[ArtifactCollection] = yield Request(
        "read_latest_artifacts", body=body, client=client
    )
    return _version(found[0]) if found else None


def _get_or_create(
    kind: type[Any], key: str | None, description: str | None, data: Any, client: Any, **fields: Any
) -> Steps[tuple[ArtifactResponse, bool]]:
    found = yield from _get(key, client)
    if found is not None:
        return found, False
    wanted = kind(key=key, description=description, data=data, **fields)
    return (yield from wanted._create(client)), True


def _version(newest: ArtifactCollection) -> ArtifactResponse:
    return ArtifactResponse(
        id=newest.latest_id,
        created=newest.created,
        updated=newest.updated,
        key=newest.key,
        type=newest.type,
        description=newest.description,
        data=newest.data,
        metadata_=newest.metadata_,
        flow_run_id=newest.flow_run_id,
        task_run_id=newest.task_run_id,
    )


_get_either, _aget = dual(_get)
_get_or_create_either, _aget_or_create = dual(_get_or_create)


def _create_link_artifact(
    link: str,
    link_text: str | None = None,
    key: str | None = None,
    description: str | None = None,
    client: Any = None,
) -> Steps[UUID]:
    """Makes a link artifact; its id."""
    wanted = LinkArtifact(key=key, description=description, link=link, link_text=link_text)
    return (yield from wanted._create(client)).id


def _create_markdown_artifact(
    markdown: str, key: str | None = None, description: str | None = None
) -> Steps[UUID]:
    """Makes a Markdown artifact; its id."""
    wanted = MarkdownArtifact(key=key, description=description, markdown=markdown)
    return (yield from wanted._create()).id


def _create_table_artifact(
    table: Table, key: str | None = None, description: str | None = None
) -> Steps[UUID]:
    """Makes a table artifact; its id."""
    wanted = TableArtifact(key=key, description=description, table=table)
    return (yield from wanted._create()).id


def _create_progress_artifact(
    progress: float, key: str | None = None, description: str | None = None
) -> Steps[UUID]:
    """Makes a progress artifact; its id, for `update_progress_artifact`."""
    wanted = ProgressArtifact(key=key, description=description, progress=progress)
    return (yield from wanted._create()).id


def _create_image_artifact(
    image_url: str, key: str | None = None, description: str | None = None
) -> Steps[UUID]:
    """Makes an image artifact; its id."""
    wanted = ImageArtifact(key=key, description=description, image_url=image_url)
    return (yield from wanted._create()).id


def _update_progress_artifact(
    artifact_id: UUID, progress: float, description: str | None = None, client: Any = None
) -> Steps[UUID]:
    """Sets the progress, and the description if one is given. Raises `ObjectNotFound`."""
    percent = _percent(progress)
    body = ArtifactUpdate(data=percent, description=UNSET if description is None else description)
    yield Request("update_artifact", artifact_id, body=body, client=client)
    _tell("updated", artifact_id, json.decode(json.encode(body)))
    return artifact_id


create_link_artifact, acreate_link_artifact = dual(_create_link_artifact)
create_markdown_artifact, acreate_markdown_artifact = dual(_create_markdown_artifact)
create_table_artifact, acreate_table_artifact = dual(_create_table_artifact)
create_progress_artifact, acreate_progress_artifact = dual(_create_progress_artifact)
create_image_artifact, acreate_image_artifact = dual(_create_image_artifact)
update_progress_artifact, aupdate_progress_artifact = dual(_update_progress_artifact)


def _percent(progress: float) -> float:
    if 0 <= progress <= 100:
        return progress
    nearest = 0.0 if progress < 0 else 100.0
    warnings.warn(
        f"a progress of {progress} is not between 0 and 100; {nearest:g} is shown", stacklevel=3
    )
    return nearest


def _plain(value: Any) -> Any:
    """A table without "not a number", which JSON cannot say."""
    if isinstance(value, float):
        return None if math.isnan(value) else float(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _tell(action: str, id: UUID, payload: dict[str, Any], name: str | None = None) -> None:
    resource = {"prefect.resource.id": f"prefect.artifact.{id}"}
    if name is not None:
        resource["prefect.resource.name"] = name
    emit_event(f"prefect.artifact.{action}", resource=resource, payload=payload)
