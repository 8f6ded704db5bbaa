"""The served OpenAPI document against the contract: nothing of the contract is missing.

`openapi_part.json` is cut from the contract by `scripts/openapi_part.py`. Names of components
differ on purpose; paths, methods, parameters, statuses, and members of bodies and answers do not.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.schemas.operations import OPERATIONS
from penstock.server.openapi import document, page

CONTRACT = json.loads(Path(__file__).with_name("openapi_part.json").read_text())
OURS = document()
NAMES = sorted(name for name, operation in OPERATIONS.items() if not operation.extension)

NO_CONTENT = {"validate_template", "validate_automation_template"}
"""The contract's document says 200 of these; every server answers 204."""


def entries(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    operation = OPERATIONS[name]
    method = operation.method.lower()
    return CONTRACT["paths"][operation.path][method], OURS["paths"][operation.path][method]


def resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = root["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def variants(schema: dict[str, Any], root: dict[str, Any]) -> list[dict[str, Any]]:
    """The alternatives of a schema, resolved, without null."""
    schema = resolved(schema, root)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return [one for inner in schema[key] for one in variants(inner, root)]
    if len(schema.get("allOf", ())) == 1:
        return variants(schema["allOf"][0], root)
    kind = schema.get("type")
    if isinstance(kind, list):
        return [schema | {"type": one} for one in kind if one != "null"]
    return [] if kind == "null" else [schema]


Pair = tuple[int, int]


def gaps(
    theirs: dict[str, Any],
    ours: dict[str, Any],
    place: str = "$",
    seen: frozenset[Pair] = frozenset(),
) -> Iterator[str]:
    """Members of the contract's schema that ours does not have."""
    our_variants = variants(ours, OURS)
    for their_variant in variants(theirs, CONTRACT):
        found = []
        for our_variant in our_variants:
            pair = (id(their_variant), id(our_variant))
            # What refers to itself is compared once on each way down.
            inner = _gaps_of_variant(their_variant, our_variant, place, seen | {pair})
            found.append([] if pair in seen else list(inner))
        if found:
            yield from min(found, key=len)
        elif their_variant:
            yield f"{place}: no alternative for {their_variant.get('type')}"


def _gaps_of_variant(
    theirs: dict[str, Any], ours: dict[str, Any], place: str, seen: frozenset[Pair]
) -> Iterator[str]:
    if not ours or (ours.get("type") == "object" and not ours.get("properties")):
        return  # takes or gives anything
    kinds = (theirs.get("type"), ours.get("type"))
    if kinds[0] != kinds[1] and None not in kinds and set(kinds) != {"integer", "number"}:
        yield f"{place}: {kinds[0]} in the contract, {kinds[1]} here"
        return
    for value in theirs.get("enum", ()):
        if value not in ours.get("enum", (value,)):
            yield f"{place}: value {value!r}"
    for name, member in theirs.get("properties", {}).items():
        mine = ours.get("properties", {}).get(name)
        if mine is None:
            yield f"{place}.{name}"
        else:
            yield from gaps(member, mine, f"{place}.{name}", seen)
    if isinstance(theirs.get("items"), dict) and isinstance(ours.get("items"), dict):
        yield from gaps(theirs["items"], ours["items"], f"{place}[]", seen)


@pytest.mark.parametrize("name", NAMES)
def test_parameters(name: str):
    theirs, ours = entries(name)
    wanted = {(one["in"], one["name"]): one["required"] for one in theirs.get("parameters", ())}
    served = {(one["in"], one["name"]): one["required"] for one in ours["parameters"]}
    assert served == wanted


@pytest.mark.parametrize("name", NAMES)
def test_members_of_the_body(name: str):
    theirs, ours = entries(name)
    assert ("requestBody" in theirs) == ("requestBody" in ours)
    if "requestBody" not in theirs:
        return
    assert ours["requestBody"]["required"] == theirs["requestBody"].get("required", False)
    wanted = theirs["requestBody"]["content"]["application/json"]["schema"]
    served = ours["requestBody"]["content"]["application/json"]["schema"]
    assert list(gaps(wanted, served)) == []
    assert stricter(wanted, served) == set()


def stricter(theirs: dict[str, Any], ours: dict[str, Any]) -> set[str]:
    """Top-level members that we require and the contract does not."""
    required = {name for one in variants(theirs, CONTRACT) for name in one.get("required", ())}
    return {name for one in variants(ours, OURS) for name in one.get("required", ())} - required


@pytest.mark.parametrize("name", NAMES)
def test_statuses_and_members_of_the_answer(name: str):
    theirs, ours = entries(name)
    answers = theirs["responses"]
    if name in NO_CONTENT:
        answers = {"204" if status == "200" else status: one for status, one in answers.items()}
    assert set(answers) <= set(ours["responses"])
    for status, answer in answers.items():
        if status == "422":
            continue  # the contract's document does not show the shape that it sends
        content = (answer.get("content") or {}).get("application/json")
        if content is None:
            assert "content" not in ours["responses"][status]
            continue
        (served,) = ours["responses"][status]["content"].values()
        assert list(gaps(content["schema"], served["schema"])) == []


def test_a_gap_would_be_found():
    theirs = CONTRACT["components"]["schemas"]["FlowRunResponse"]
    ours = json.loads(json.dumps(OURS["components"]["schemas"]["FlowRun"]))
    del ours["properties"]["parameters"]
    ours["properties"]["tags"] = {"type": "string"}
    found = set(gaps(theirs, ours))
    assert "$.parameters" in found
    assert "$.tags: array in the contract, string here" in found


def test_every_reference_of_the_document_leads_somewhere():
    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for item in value.values():
                yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    names = {reference.rpartition("/")[2] for reference in walk(OURS)}
    assert names <= set(OURS["components"]["schemas"])
    assert names


def test_extensions_are_marked():
    marked = {
        operation["operationId"]
        for path in OURS["paths"].values()
        for operation in path.values()
        if operation.get("x-penstock-extension")
    }
    assert marked == {name for name, operation in OPERATIONS.items() if operation.extension}
    assert marked


def test_the_page_names_every_operation_and_loads_nothing():
    text = page("/api").decode()
    for operation in OPERATIONS.values():
        assert f"<code>/api{operation.path}</code>" in text
    for loading in ("<script", "<link", "src=", "@import", "url("):
        assert loading not in text
