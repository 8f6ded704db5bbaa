import pytest

from penstock.server.domain.hydration import (
    HydrationError,
    Sources,
    hydrate,
    variable_names,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": 1, "b": [True, None]}, {"a": 1, "b": [True, None]}),
        ({"x": {"__prefect_kind": "json", "value": '{"y": [1]}'}}, {"x": {"y": [1]}}),
        ([{"__prefect_kind": "none", "value": 3}], [3]),
        (
            {"__prefect_kind": None, "value": {"k": {"__prefect_kind": "json", "value": "2"}}},
            {"k": 2},
        ),
        ({"__prefect_kind": "none"}, None),
    ],
)
def test_templates_become_values(given: object, expected: object) -> None:
    assert hydrate(given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": [{"__prefect_kind": "json", "value": "{"}]}, r"\$\.a\[0\]"),
        ({"a": {"__prefect_kind": "json", "value": 3}}, r"\$\.a.*as text"),
        ({"__prefect_kind": "magic", "value": 1}, "'magic'"),
    ],
)
def test_broken_templates_are_refused_with_their_place(given: object, message: str) -> None:
    with pytest.raises(HydrationError, match=message):
        hydrate(given)


# --- variables and text templates ----------------------------------------------------------------


def test_variables_and_rendered_texts() -> None:
    sources = Sources(variables={"top": {"n": 3}}, render=lambda text: text.replace("{{n}}", "3"))
    value = {
        "a": {"__prefect_kind": "workspace_variable", "variable_name": "top"},
        "b": {"__prefect_kind": "jinja", "template": "n is {{n}}"},
        "c": {
            "__prefect_kind": "json",
            "value": {"__prefect_kind": "jinja", "template": '{"n": {{n}}}'},
        },
    }
    assert hydrate(value, sources=sources) == {"a": {"n": 3}, "b": "n is 3", "c": {"n": 3}}
    assert list(variable_names(value)) == ["top"]


def test_sources_that_fail_say_where() -> None:
    def refuse(text: str) -> str:
        raise ValueError("unexpected end")

    sources = Sources(variables={}, render=refuse)
    for value, words in (
        ({"__prefect_kind": "workspace_variable", "variable_name": "x"}, r"\$\.p: there is no"),
        ({"__prefect_kind": "workspace_variable"}, "needs variable_name"),
        ({"__prefect_kind": "jinja", "template": "{{"}, r"\$\.p: unexpected end"),
        ({"__prefect_kind": "jinja"}, "needs its template"),
    ):
        with pytest.raises(HydrationError, match=words):
            hydrate({"p": value}, sources=sources)
