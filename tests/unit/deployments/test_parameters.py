"""The schema of a flow's parameters. The expected one is what the contract's own tool gives."""

import datetime
import enum
import uuid
from typing import Any, Literal, Optional

from pydantic import BaseModel

from penstock import flow
from penstock.deployments.parameters import parameter_schema


class Shade(enum.Enum):
    DARK = "dark"
    LIGHT = "light"


class Inner(BaseModel):
    x: int = 3
    y: Optional[str] = None  # noqa: UP045 (people write both)


class Opaque: ...


def everything(
    a: Any,
    b: int,
    c: str = "x",
    *,
    d: Inner | None = None,
    e: Shade = Shade.DARK,
    when: datetime.datetime = datetime.datetime(2020, 1, 1),
    u: uuid.UUID | None = None,
    lit: Literal["p", "q"] = "p",
    td: datetime.timedelta = datetime.timedelta(5),
) -> None:
    """Words.

    Args:
        a: the first
        b (int): the second
          on two lines
        c: the third: with a colon

    Returns:
        b: not a parameter
    """


def test_the_schema_says_types_defaults_order_and_words() -> None:
    schema = parameter_schema(everything)
    assert schema["title"] == "Parameters"
    assert schema["type"] == "object"
    assert schema["required"] == ["a", "b"]
    assert list(schema["properties"]) == ["a", "b", "c", "d", "e", "when", "u", "lit", "td"]
    assert schema["properties"]["a"] == {"description": "the first", "position": 0, "title": "a"}
    assert schema["properties"]["b"] == {
        "description": "the second\non two lines",
        "position": 1,
        "title": "b",
        "type": "integer",
    }
    assert schema["properties"]["c"]["description"] == "the third: with a colon"
    assert schema["properties"]["d"] == {
        "anyOf": [{"$ref": "#/definitions/Inner"}, {"type": "null"}],
        "default": None,
        "position": 3,
        "title": "d",
    }
    assert schema["properties"]["e"]["default"] == "dark"
    assert schema["properties"]["when"]["default"] == "2020-01-01T00:00:00"
    assert schema["properties"]["td"]["default"] == "P5D"
    assert set(schema["definitions"]) == {"Inner", "Shade"}


def test_what_json_cannot_say_may_be_anything() -> None:
    def odd(x: Opaque, y: "int" = 2, z: Any = object, schema: str = "", _u: int = 1) -> None: ...

    def lost(x: "NotThere", y: "int" = 1) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    properties = parameter_schema(odd)["properties"]
    assert properties["x"] == {"position": 0, "title": "x"}
    assert properties["y"]["type"] == "integer"
    assert properties["z"] == {"position": 2, "title": "z"}
    assert properties["schema"]["type"] == "string"
    assert properties["_u"]["default"] == 1
    assert parameter_schema(lost)["properties"]["x"] == {"position": 0, "title": "x"}
    assert parameter_schema(lost)["properties"]["y"]["type"] == "integer"


def test_a_function_that_takes_any_keyword_accepts_more() -> None:
    def open_(x: int, *args: int, **more: Any) -> None: ...

    schema = parameter_schema(open_)
    assert schema["additionalProperties"] is True
    assert list(schema["properties"]) == ["x"]
    assert "additionalProperties" not in parameter_schema(everything)


def test_a_flow_has_the_schema_of_its_function() -> None:
    assert parameter_schema(flow(everything)) == parameter_schema(everything)


def test_fields_in_the_other_docstring_style() -> None:
    def described(x: int, y: int) -> None:
        """Words.

        :param x: the first
        :param int y: the second
        :returns: nothing
        """

    properties = parameter_schema(described)["properties"]
    assert properties["x"]["description"] == "the first"
    assert properties["y"]["description"] == "the second"
