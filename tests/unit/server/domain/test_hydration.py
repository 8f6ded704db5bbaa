import pytest

from penstock.server.domain.hydration import HydrationError, hydrate


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
