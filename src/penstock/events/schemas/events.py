"""Events and the resources they speak about.

The wire types with the accessors that users want. A resource is its labels: a mapping of text to
text that holds at least `prefect.resource.id`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import field
from msgspec.structs import force_setattr

from penstock.base import json
from penstock.base.clock import utc_now
from penstock.schemas import events as wire
from penstock.schemas.events import RESOURCE_ID, RESOURCE_NAME, RESOURCE_ROLE
from penstock.settings import get_current_settings


class Resource(dict[str, str]):
    """Labels of one thing. Raises `ValueError` without an id or with too many labels."""

    def __init__(self, labels: Mapping[str, str] | None = None, /, **more: str) -> None:
        super().__init__(labels or {}, **more)
        if not self.get(RESOURCE_ID):
            raise ValueError(f"a resource needs a {RESOURCE_ID!r} that is not empty")
        most = get_current_settings().server.events.maximum_labels_per_resource
        if len(self) > most:
            raise ValueError(f"the resource {self.id!r} has {len(self)} labels; {most} are allowed")
        for key, value in self.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise ValueError(f"the label {key!r} of {self.id!r} is not text; make it a string")

    @property
    def id(self) -> str:
        return self[RESOURCE_ID]

    @property
    def name(self) -> str | None:
        return self.get(RESOURCE_NAME)

    @property
    def labels(self) -> Mapping[str, str]:
        return self

    def prefect_object_id(self, kind: str) -> UUID:
        """The id inside `<kind>.<id>`. Raises `ValueError` for a resource of another kind."""
        prefix = f"{kind}."
        if not self.id.startswith(prefix):
            raise ValueError(f"the resource {self.id!r} is no {kind!r}")
        return UUID(self.id.removeprefix(prefix))

    def has_all_labels(self, labels: Mapping[str, str]) -> bool:
        return all(self.get(name) == value for name, value in labels.items())

    def as_label_value_array(self) -> list[dict[str, str]]:
        return [{"label": label, "value": value} for label, value in self.items()]


class RelatedResource(Resource):
    """A resource with the role it plays. Raises `ValueError` without one."""

    def __init__(self, labels: Mapping[str, str] | None = None, /, **more: str) -> None:
        super().__init__(labels, **more)
        if not self.get(RESOURCE_ROLE):
            raise ValueError(f"the related resource {self.id!r} needs a {RESOURCE_ROLE!r}")

    @property
    def role(self) -> str:
        return self[RESOURCE_ROLE]


def _resource(labels: Mapping[str, str]) -> Resource:
    return labels if isinstance(labels, Resource) else Resource(labels)


def _related(labels: Mapping[str, str]) -> RelatedResource:
    return labels if isinstance(labels, RelatedResource) else RelatedResource(labels)


class Event(wire.Event, kw_only=True):
    """Something that happened to a resource. Raises `ValueError` for incomplete resources."""

    occurred: datetime = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        # The only writes to a frozen event, before anybody can see it.
        force_setattr(self, "resource", _resource(self.resource))
        most = get_current_settings().server.events.maximum_related_resources
        if len(self.related) > most:
            raise ValueError(
                f"the event {self.event!r} names {len(self.related)} related resources; "
                f"{most} are allowed"
            )
        force_setattr(self, "related", [_related(one) for one in self.related])

    @property
    def involved_resources(self) -> Sequence[Mapping[str, str]]:
        return [self.resource, *self.related]

    @property
    def resource_in_role(self) -> Mapping[str, Mapping[str, str]]:
        """The first related resource of each role."""
        found: dict[str, Mapping[str, str]] = {}
        for resource in self.related:
            found.setdefault(resource[RESOURCE_ROLE], resource)
        return found

    @property
    def resources_in_role(self) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """All related resources by role."""
        found: dict[str, list[Mapping[str, str]]] = defaultdict(list)
        for resource in self.related:
            found[resource[RESOURCE_ROLE]].append(resource)
        return found

    @property
    def size_bytes(self) -> int:
        """The size of its JSON form."""
        return len(json.encode(self))

    def find_resource_label(self, label: str) -> str | None:
        """The value of `label` on the resource, or of `role:label` on a related resource."""
        direct = self.resource.get(label)
        if direct:
            return direct
        role, colon, name = label.partition(":")
        if colon:
            for resource in self.resources_in_role.get(role, ()):
                if value := resource.get(name):
                    return value
        return None


class ReceivedEvent(Event, kw_only=True):
    """An event as the server gives it back, with the time it was received."""

    received: datetime = field(default_factory=utc_now)


class ResourceSpecification(dict[str, str | list[str]]):
    """Which resources are meant: labels and the values allowed for each.

    A value that begins with `!` excludes, one that ends with `*` is a prefix. Several values of
    one label are alternatives; all labels must match.
    """

    def matches(self, resource: Mapping[str, str]) -> bool:
        return all(_allowed(values, resource.get(label)) for label, values in self.items())

    def includes(self, candidates: Iterable[Mapping[str, str]]) -> bool:
        """Whether any of the candidates matches; nothing specified matches everything."""
        return not self or any(self.matches(candidate) for candidate in candidates)

    def matches_every_resource(self) -> bool:
        return not self or all(_listed(values) == ["*"] for values in self.values())

    def matches_every_resource_of_kind(self, prefix: str) -> bool:
        if self.matches_every_resource():
            return True
        if set(self) != {RESOURCE_ID}:
            return False
        return any(value in ("*", f"{prefix}.*") for value in _listed(self[RESOURCE_ID]))

    def deepcopy(self) -> "ResourceSpecification":
        return ResourceSpecification(
            {key: list(v) if isinstance(v, list) else v for key, v in self.items()}
        )


def matches(expected: str, value: str | None) -> bool:
    """Whether one value of a specification allows the label's value."""
    if value is None:
        return False
    positive = not expected.startswith("!")
    expected = expected.removeprefix("!")
    found = value.startswith(expected[:-1]) if expected.endswith("*") else value == expected
    return found is positive


def _listed(values: str | list[str]) -> list[str]:
    return [values] if isinstance(values, str) else values


def _allowed(values: str | list[str], value: str | None) -> bool:
    return any(matches(expected, value) for expected in _listed(values))
