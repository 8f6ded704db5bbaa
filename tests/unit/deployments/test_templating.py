"""Placeholders: what they stand for, where their values go, and what never happens to them."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.steps_script import Script

from penstock.annotations import NotSet
from penstock.deployments.templating import (
    PlaceholderType,
    apply_values,
    determine_placeholder_type,
    find_placeholders,
    resolved_blocks,
    resolved_variables,
    value_at,
)
from penstock.schemas.errors import ObjectNotFound


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("image", PlaceholderType.STANDARD),
        ("build.tag", PlaceholderType.STANDARD),
        ("$HOME", PlaceholderType.ENV_VAR),
        ("prefect.blocks.secret.x", PlaceholderType.BLOCK_DOCUMENT),
        ("penstock.blocks.secret.x", PlaceholderType.BLOCK_DOCUMENT),
        ("prefect.variables.x", PlaceholderType.VARIABLE),
        ("penstock.variables.x", PlaceholderType.VARIABLE),
    ],
)
def test_the_name_tells_what_a_placeholder_stands_for(name: str, kind: PlaceholderType) -> None:
    assert determine_placeholder_type(name) is kind
    [found] = find_placeholders({"a": [f"x {{{{ {name} }}}} y"]})
    assert (found.name, found.type) == (name, kind)


def test_text_that_is_one_placeholder_takes_the_value_with_its_type() -> None:
    values = {"n": 3, "list": [1, {"k": "v"}], "text": "t", "none": None}
    assert apply_values("{{ n }}", values) == 3
    assert apply_values("{{list}}", values) == [1, {"k": "v"}]
    assert apply_values("{{ list[1].k }}", values) == "v"
    assert apply_values("{{ none }}", values) is None
    assert apply_values("a {{ n }} {{ text }}", values) == "a 3 t"
    assert apply_values("a {{ list }}", values) == 'a [1,{"k":"v"}]'


def test_what_is_not_known_is_dropped_or_kept() -> None:
    template = {"a": "{{ x }}", "b": ["{{ x }}", 1], "c": "t {{ x }}"}
    assert apply_values(template, {}) == {"b": [1], "c": "t "}
    assert apply_values(template, {}, remove_notset=False) == template
    assert apply_values("{{ x }}", {}) is NotSet


def test_the_environment_fills_in_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_NAME", "value")
    monkeypatch.delenv("NO_NAME", raising=False)
    template = {"a": "{{ $SOME_NAME }}!", "b": "{{ $NO_NAME }}"}
    assert apply_values(template, {}) == {"a": "value!"}
    assert apply_values(template, {}, remove_notset=False, skip_prefixes=["$"]) == template


def test_blocks_and_variables_are_left_for_those_who_ask_the_server() -> None:
    template = ["{{ prefect.blocks.a.b }}", "x {{ penstock.variables.c }}"]
    assert apply_values(template, {}) == template


def test_a_warning_says_what_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    apply_values("{{ x.y }}", {"x": {}}, warn_on_notset=True)
    assert "nothing is known under 'x.y'" in caplog.text


@settings(max_examples=50, deadline=None)
@given(st.text(), st.text())
def test_a_value_is_never_looked_at_for_placeholders(value: str, around: str) -> None:
    hostile = value + "{{ secret }}" + value
    template = around.replace("{", "").replace("}", "") + " {{ x }}"
    assert apply_values(template, {"x": hostile, "secret": "S"}).endswith(hostile)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("xyz"), inner),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PLAIN)
def test_without_placeholders_nothing_changes(template: Any) -> None:
    assert apply_values(template, {"a": 1}) == template


def test_paths_go_through_mappings_and_lists() -> None:
    assert value_at({"a": [{"b": 1}]}, "a[0].b") == 1
    assert value_at({"a": [{"b": 1}]}, "a.0.b") == 1
    assert value_at({"a": 1}, "a.b") is NotSet
    assert value_at({"a": []}, "a[0]") is NotSet


def block(**data: Any) -> SimpleNamespace:
    return SimpleNamespace(data=data)


BY_NAME = "read_block_document_by_name_for_block_type"


def test_a_block_of_one_value_is_that_value() -> None:
    script = Script(**{BY_NAME: block(value={"k": [5]})})
    template = {
        "a": "{{ prefect.blocks.json.x }}",
        "b": "{{ penstock.blocks.json.x.k[0] }}",
        "c": "is {{ prefect.blocks.json.x.value.k[0] }}",
    }
    assert script.run(resolved_blocks(template)) == {"a": {"k": [5]}, "b": 5, "c": "is 5"}
    assert len(script.requests(BY_NAME)) == 1, "every block is asked for once"
    assert script.done[0].query == {"include_secrets": True}


def test_a_block_of_several_values_is_a_mapping() -> None:
    script = Script(**{BY_NAME: block(user="u", token="t")})
    template = ["{{ prefect.blocks.login.x }}", "{{ prefect.blocks.login.x.user }}"]
    assert script.run(resolved_blocks(template)) == [{"user": "u", "token": "t"}, "u"]


def test_a_mapping_inside_text_is_refused() -> None:
    script = Script(**{BY_NAME: block(a=1, b=2)})
    with pytest.raises(ValueError, match="is a dict and stands inside the text"):
        script.run(resolved_blocks("x {{ prefect.blocks.login.x }}"))
    with pytest.raises(ValueError, match="has no member 'zz'"):
        script.run(resolved_blocks("{{ prefect.blocks.login.x.zz }}"))
    with pytest.raises(ValueError, match="names no block"):
        script.run(resolved_blocks("{{ prefect.blocks.login }}"))


def test_a_block_that_does_not_exist_is_named() -> None:
    script = Script(**{BY_NAME: ObjectNotFound("404", status_code=404)})
    with pytest.raises(ObjectNotFound, match="the block secret/gone, which does not exist"):
        script.run(resolved_blocks("{{ prefect.blocks.secret.gone }}"))


def test_a_reference_to_a_document_is_its_data() -> None:
    script = Script(read_block_document_by_id=block(a=1))
    template = {"x": {"$ref": {"block_document_id": "0-1"}}, "y": {"$ref": 3}}
    assert script.run(resolved_blocks(template)) == {"x": {"a": 1}, "y": {"$ref": 3}}


def test_every_value_of_a_block_may_be_changed_on_its_way() -> None:
    script = Script(**{BY_NAME: block(value="v")})
    steps = resolved_blocks("{{ prefect.blocks.s.x }}", None, lambda name, v: f"{name}={v}")
    assert script.run(steps) == "prefect.blocks.s.x=v"


def test_variables_are_filled_in_and_missing_ones_are_empty() -> None:
    def answer(step: Any) -> Any:
        if step.path == ("gone",):
            return ObjectNotFound("404")
        return SimpleNamespace(value={"n": 1})

    script = Script(read_variable_by_name=answer)
    template = ["{{ prefect.variables.v }}", "a{{ penstock.variables.gone }}b", "{{ x }}"]
    assert script.run(resolved_variables(template)) == [{"n": 1}, "ab", "{{ x }}"]
