"""Checksums of block schemas, and what a schema refers to."""

import hashlib
import json
from typing import Any

import pytest

from penstock.server.domain.block_schemas import ReferenceInvalid, checksum, references


def digest(fields: dict[str, Any]) -> str:
    """The checksum as clients compute it from what counts."""
    text = json.dumps([[fields], {}], sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_secret_fields_do_not_count_and_the_order_of_members_does_not():
    plain = {"title": "A", "properties": {"x": {"type": "string"}}}
    turned = dict(reversed(plain.items()))
    assert checksum(plain) == digest(plain)
    assert checksum({**turned, "secret_fields": ["x"]}) == digest(plain)
    assert checksum({**plain, "description": "text"}) != digest(plain)


def test_the_checksum_is_that_of_the_published_clients():
    # As the peer's own server answered for this schema.
    fields = {"title": "X", "type": "object", "properties": {}}
    known = "sha256:21c7d9fef9e17d86955df21fecef19459fff0ecc6d3c526b23684d04729665dd"
    assert checksum(fields) == known


def test_definitions_of_values_count_and_those_of_blocks_do_not():
    colour = {"enum": ["red"], "title": "Colour"}
    inner = {
        "properties": {"colour": {"$ref": "#/definitions/Colour"}},
        "block_schema_references": {},
    }
    fields = {
        "properties": {"inner": {"anyOf": [{"$ref": "#/definitions/Inner"}]}},
        "definitions": {
            "Inner": inner,
            "Colour": colour,
            "Anything": {},
            "Unused": {"type": "string"},
        },
    }
    assert checksum(fields) == digest({**fields, "definitions": {"Colour": colour}})
    fields["properties"]["any"] = {"$ref": "#/definitions/Anything"}
    assert checksum(fields) == digest({**fields, "definitions": {"Colour": colour}})


def test_definitions_that_lead_in_circles_end():
    node = {"properties": {"next": {"$ref": "#/definitions/Node"}}}
    fields = {"properties": {"head": {"$ref": "#/definitions/Node"}}, "definitions": {"Node": node}}
    assert checksum(fields) == digest(fields)


def test_nested_blocks_are_named_by_member_slug_and_checksum():
    one = {"block_type_slug": "a", "block_schema_checksum": "sha256:1"}
    two = {"block_type_slug": "b", "block_schema_checksum": "sha256:2"}
    fields = {"block_schema_references": {"x": one, "either": [one, two]}}
    assert list(references(fields)) == [
        ("x", "a", "sha256:1"),
        ("either", "a", "sha256:1"),
        ("either", "b", "sha256:2"),
    ]
    assert list(references({})) == list(references({"block_schema_references": None})) == []


@pytest.mark.parametrize("wrong", [[1], {"x": 1}, {"x": {}}, {"x": [{"block_type_slug": "a"}]}])
def test_a_reference_that_says_nothing_is_invalid(wrong: Any):
    with pytest.raises(ReferenceInvalid, match="block_schema_references"):
        list(references({"block_schema_references": wrong}))
