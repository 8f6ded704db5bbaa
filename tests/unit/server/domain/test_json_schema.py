"""Values against schemas that users wrote."""

from typing import Any

import pytest

from penstock.base import json
from penstock.server.domain.json_schema import SchemaInvalid, misfit

SCHEMA = json.encode(
    {
        "type": "object",
        "properties": {
            "x": {"type": "integer"},
            "y": {"type": "string"},
            "z": {"$ref": "#/$defs/point"},
        },
        "required": ["x"],
        "$defs": {"point": {"type": "object", "required": ["lat"]}},
    }
)


@pytest.mark.parametrize(
    "value", [{"x": 1}, {"x": 1, "y": "a"}, {"x": 1, "y": None}, {"x": 1, "z": {"lat": 2}}]
)
def test_what_fits(value: Any) -> None:
    assert misfit(value, SCHEMA) is None


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({}, "$: 'x' is a required property"),
        ({"x": "1"}, "$.x: '1' is not of type 'integer'"),
        ({"x": None}, "$.x: None is not of type 'integer'"),
        ({"x": 1, "z": {}}, "$.z: 'lat' is a required property"),
        ([], "$: [] is not of type 'object'"),
    ],
)
def test_what_does_not(value: Any, place: str) -> None:
    assert misfit(value, SCHEMA) == place


def test_defaults_may_miss_what_is_required() -> None:
    assert misfit({}, SCHEMA, required=False) is None
    assert misfit({"x": None}, SCHEMA, required=False) is None
    assert misfit({"x": "1"}, SCHEMA, required=False) is not None


@pytest.mark.parametrize(
    "schema",
    [
        b'{"type": 3}',
        b"[]",
        b"{",
        b'{"$ref": "#/$defs/none"}',
        b'{"$ref": "#"}',
        b'{"$ref": "https://example.com/schema.json"}',
    ],
)
def test_what_is_no_schema(schema: bytes) -> None:
    with pytest.raises(SchemaInvalid):
        misfit({"x": 1}, schema)
