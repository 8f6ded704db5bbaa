"""Objects to bytes and back."""

import io
import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.schemas.errors import SerializationError
from penstock.serializers import (
    CompressedJSONSerializer,
    CompressedPickleSerializer,
    CompressedSerializer,
    JSONSerializer,
    PickleSerializer,
    Serializer,
    UnknownSerializer,
    resolve_serializer,
)


class Model(pydantic.BaseModel):
    x: int
    when: datetime | None = None


@dataclass
class Point:
    x: int
    y: float = 0.0


class Colour(Enum):
    RED = "red"


class Outer:
    class Inner(Exception):
        pass


class Picky(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text().filter(lambda key: not key.startswith("__")), inner, max_size=4)
    ),
    max_leaves=15,
)
rich_values = st.recursive(
    json_values
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.just(UTC))
    | st.times()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.frozensets(st.integers())
    | st.sets(st.text())
    | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(rich_values)
def test_json_gives_back_what_it_was_given(value):
    serializer = JSONSerializer()
    assert serializer.loads(serializer.dumps(value)) == value


@settings(deadline=None)
@given(st.one_of(rich_values, st.tuples(json_values, json_values)))
def test_pickle_gives_back_what_it_was_given(value):
    serializer = PickleSerializer()
    assert serializer.loads(serializer.dumps(value)) == value


@settings(deadline=None)
@given(json_values, st.sampled_from(["pickle", "json"]), st.sampled_from(["lzma", "zlib", "bz2"]))
def test_a_compressed_serializer_gives_back_what_it_was_given(value, inner, library):
    serializer = CompressedSerializer(serializer=inner, compressionlib=library)
    assert serializer.loads(serializer.dumps(value)) == value


@settings(deadline=None)
@given(st.sampled_from(["pickle", "json", "compressed/pickle", "compressed/json"]), json_values)
def test_every_blob_is_text(kind, value):
    Serializer(type=kind).dumps(value).decode("utf-8")


@pytest.mark.parametrize(
    "value",
    [
        Model(x=1, when=datetime(2026, 1, 2, tzinfo=UTC)),
        Point(1, 2.5),
        Colour.RED,
        PurePosixPath("/a/b"),
        Path("here"),
        timedelta(days=1, microseconds=3),
        time(1, 2, 3),
        date(2026, 1, 1),
        Decimal("1.10"),
        uuid.UUID(int=7),
        range(1, 9, 2),
        {"nested": [Model(x=2), {Point(3).x}]},
        bytearray(b"\x00\xff"),
    ],
    ids=repr,
)
def test_json_keeps_objects_of_many_classes(value):
    serializer = JSONSerializer()
    back = serializer.loads(serializer.dumps(value))
    assert back == value
    assert type(back) is type(value)


def test_json_keeps_the_class_and_text_of_an_exception():
    serializer = JSONSerializer()
    back = serializer.loads(serializer.dumps({"e": ValueError("bad")}))["e"]
    assert type(back) is ValueError
    assert str(back) == "bad"
    assert type(serializer.loads(serializer.dumps(Outer.Inner("deep")))) is Outer.Inner
    assert serializer.loads(serializer.dumps(KeyError("k"))).args[0] in ("k", "'k'")


def test_an_exception_that_cannot_be_made_again_keeps_its_name_and_text():
    serializer = JSONSerializer()
    back = serializer.loads(serializer.dumps(Picky(1, 2)))
    assert "Picky" in str(back)
    assert "(1, 2)" in str(back)


def test_a_stream_is_written_as_a_placeholder():
    serializer = JSONSerializer()
    assert "StringIO" in serializer.loads(serializer.dumps(io.StringIO("secret")))


def test_json_refuses_what_it_cannot_say():
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        JSONSerializer().dumps(object())


def test_json_arguments_are_passed_on():
    serializer = JSONSerializer(dumps_kwargs={"sort_keys": True}, object_encoder=None)
    assert serializer.dumps({"b": 1, "a": 2}) == b'{"a": 2, "b": 1}'
    assert math.isnan(JSONSerializer(loads_kwargs={"parse_int": lambda _: math.nan}).loads(b"1"))
    with pytest.raises(ValueError, match="object_encoder"):
        JSONSerializer(dumps_kwargs={"default": str})
    with pytest.raises(ValueError, match="object_decoder"):
        JSONSerializer(loads_kwargs={"object_hook": dict})


def test_records_of_the_peer_name_its_encoder_and_are_read():
    serializer = Serializer(
        type="json",
        object_encoder="prefect.serializers.prefect_json_object_encoder",
        object_decoder="prefect.serializers.prefect_json_object_decoder",
    )
    assert serializer.loads(serializer.dumps({1, 2})) == {1, 2}


def test_the_type_string_chooses_the_class():
    assert type(Serializer(type="pickle")) is PickleSerializer
    assert type(Serializer(type="json")) is JSONSerializer
    assert type(Serializer(type="compressed/pickle")) is CompressedPickleSerializer
    assert type(Serializer(type="compressed/json")) is CompressedJSONSerializer
    compressed: Any = Serializer(type="compressed", serializer="json")
    assert compressed.serializer == JSONSerializer()


@pytest.mark.parametrize(
    "serializer",
    [
        PickleSerializer(),
        PickleSerializer(picklelib="pickle"),
        JSONSerializer(dumps_kwargs={"indent": 1}),
        CompressedSerializer(serializer="pickle", compressionlib="zlib"),
        CompressedJSONSerializer(),
    ],
)
def test_a_serializer_is_made_again_from_its_fields(serializer):
    again = Serializer(**serializer.model_dump())
    assert again == serializer
    assert hash(again) == hash(serializer)
    assert type(again) is type(serializer)


def test_an_unknown_type_refuses_only_when_it_is_used():
    unknown = Serializer(type="msgpack", level=3)
    assert isinstance(unknown, UnknownSerializer)
    assert unknown.model_dump() == {"type": "msgpack", "level": 3}
    for use in (lambda: unknown.dumps(1), lambda: unknown.loads(b"")):
        with pytest.raises(SerializationError, match="msgpack"):
            use()
    with pytest.raises(ValueError, match="msgpack"):
        resolve_serializer("msgpack")


def test_wrong_fields_are_refused():
    with pytest.raises(TypeError, match="colour"):
        PickleSerializer(colour="red")
    with pytest.raises(TypeError, match="needs the field 'serializer'"):
        CompressedSerializer()
    with pytest.raises(TypeError, match="needs a type"):
        Serializer()
    with pytest.raises(ValueError, match="pickle"):
        PickleSerializer(type="json")


def test_a_library_must_exist_and_have_the_functions():
    with pytest.raises(ValueError, match="cannot be imported"):
        PickleSerializer(picklelib="no_such_library")
    with pytest.raises(ValueError, match="'dumps'"):
        PickleSerializer(picklelib="math")
    with pytest.raises(ValueError, match="'compress'"):
        CompressedSerializer(serializer="json", compressionlib="math")


def test_a_subclass_is_found_by_its_type():
    class Reversed(Serializer):
        type: str = "test/reversed"
        sep: str = ""

        def dumps(self, obj):
            return obj[::-1].encode() + self.sep.encode()

        def loads(self, blob):
            return blob.decode().removesuffix(self.sep)[::-1]

    made = Serializer(type="test/reversed", sep="!")
    assert made.dumps("abc") == b"cba!"
    assert made.loads(b"cba!") == "abc"
    assert resolve_serializer("test/reversed") == Reversed()


def test_default_fields_are_not_shared():
    one, two = JSONSerializer(), JSONSerializer()
    one.dumps_kwargs["indent"] = 2
    assert two.dumps_kwargs == {}


class Struct(msgspec.Struct):
    x: int


@dataclass
class Derived:
    x: int
    y: int = field(init=False, default=0)

    def __post_init__(self):
        self.y = self.x * 2


@pytest.mark.parametrize("value", [Struct(1), Derived(2)], ids=repr)
def test_json_keeps_structs_and_computed_fields(value):
    serializer = JSONSerializer()
    assert serializer.loads(serializer.dumps([value])) == [value]


def test_json_sets_of_mixed_values_are_kept_and_in_a_fixed_order():
    serializer = JSONSerializer()
    value = {1, "a", None, (2, 3)}
    assert serializer.dumps(value) == serializer.dumps({(2, 3), None, "a", 1})


@pytest.mark.parametrize(
    "document",
    [
        b'{"__class__": "penstock_has_no.Such", "data": 1}',
        b'{"__class__": "penstock.serializers.NoSuch", "data": 1}',
        b'{"__class__": "NoModule", "data": 1}',
    ],
)
def test_a_class_that_is_gone_is_an_error_and_an_exception_keeps_its_text(document):
    with pytest.raises((ImportError, AttributeError)):
        JSONSerializer().loads(document)
    gone = document.replace(b"__class__", b"__exc_type__").replace(b'"data": 1', b'"message": "m"')
    assert str(JSONSerializer().loads(gone)).endswith(": m")


def test_dictionaries_that_look_alike_are_left_alone():
    serializer = JSONSerializer()
    for value in ({"__class__": "x"}, {"data": 1}, {"__class__": "x", "data": 1, "more": 2}):
        assert serializer.loads(serializer.dumps(value)) == value


def test_the_base_serializer_does_nothing():
    class Nothing(Serializer):
        type: str = "test/nothing"

    with pytest.raises(NotImplementedError):
        Nothing().dumps(1)
    with pytest.raises(NotImplementedError):
        Nothing().loads(b"")
    assert repr(Nothing()) == "Nothing(type='test/nothing')"
    assert Nothing() != PickleSerializer()
