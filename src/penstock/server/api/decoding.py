"""Request bodies and queries into the types of the operation, and refusals in the contract's shape.

Decoders are made once per operation. Text that spells a number or boolean is accepted as one; an
instant without an offset is taken as UTC; an integer that no database column holds is refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from penstock.schemas.operations import Operation
from penstock.server.security.redaction import MASK, echo

INTEGER_LIMIT = 2**63
_NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_PATH = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_MEMBER = re.compile(r"field `(?P<name>[^`]*)`")


class Problem(Struct, frozen=True):
    """One thing that is wrong with a request; `loc` leads to it."""

    loc: list[str | int]
    msg: str
    type: str


class Unprocessable(Exception):
    """A request that does not fit its operation; becomes a 422 answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.msg)
        self.problem = problem


def missing(*loc: str | int) -> Unprocessable:
    """The refusal of a request that lacks a required part."""
    return Unprocessable(Problem(list(loc), "Field required", "missing"))


# --- bodies ---------------------------------------------------------------------------------------


class BodyDecoder:
    """Decodes the body of one operation."""

    def __init__(self, type: Any, *, required: bool) -> None:
        self._decode = msgspec.json.Decoder(type, strict=False).decode
        self._null_means_default = (
            isinstance(type, type_of_structs)
            and issubclass(type, Struct)
            and not type.__struct_config__.forbid_unknown_fields
        )
        self._mend = mender(type)
        self._required = required
        self._absent = b'""' if type is str else b"{}"
        self._complete = getattr(type, "completed", None)

    def __call__(self, body: bytes) -> Any:
        """The decoded body. Raises `Unprocessable` with the place of the first fault."""
        if not body or (not self._required and body == b"null"):
            if self._required:
                raise missing("body")
            body = self._absent
        try:
            value = self._decoded(without_nul(body))
            if self._mend is not None:
                value = self._mend(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
            raise Unprocessable(problem_of(error, "body")) from None
        return value

    def _decoded(self, body: bytes) -> Any:
        """The contract's bodies of several named members take null where there is a default.

        A type may name in `completed` what else it understands beside its own form.
        """
        try:
            return self._decode(body)
        except msgspec.ValidationError as error:
            if self._complete is not None:
                return self._decode(msgspec.json.encode(self._complete(msgspec.json.decode(body))))
            if not self._null_means_default or "`null`" not in str(error):
                raise
            members = msgspec.json.decode(body)
            if not isinstance(members, dict):
                raise
            given = {name: value for name, value in members.items() if value is not None}
            return self._decode(msgspec.json.encode(given))


def without_nul(body: bytes) -> bytes:
    """JSON in which the character NUL, which PostgreSQL cannot hold, became U+FFFD."""
    if b"\\u0000" not in body:
        return body
    return _NUL_ESCAPE.sub(rb"\1\\ufffd", body)


Mend = Callable[[Any], Any]


def mender(type: Any) -> Mend | None:
    """A function that repairs decoded values of `type`, or None when nothing can need it."""
    return _mender(type, {})


def _mender(type: Any, known: dict[Any, Mend | None]) -> Mend | None:
    if type is datetime:
        return _mend_instant
    if type is int:
        return _mend_integer
    origin = get_origin(type)
    if origin is list:
        return _mend_list(_mender(get_args(type)[0], known))
    if origin is dict:
        return _mend_dict(_mender(get_args(type)[1], known))
    if origin is not None and get_args(type):
        return _mend_union(get_args(type), known)
    if isinstance(type, type_of_structs) and issubclass(type, Struct):
        if type not in known:
            known[type] = None
            known[type] = _mend_struct(type, known)
        return known[type]
    return None


type_of_structs = type


def _mend_instant(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _mend_integer(value: Any) -> Any:
    if isinstance(value, int) and not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        raise OverflowError("Integer value out of range")
    return value


def _mend_list(item: Mend | None) -> Mend | None:
    if item is None:
        return None
    return lambda value: [item(one) for one in value] if isinstance(value, list) else value


def _mend_dict(item: Mend | None) -> Mend | None:
    if item is None:
        return None
    return lambda value: (
        {key: item(one) for key, one in value.items()} if isinstance(value, dict) else value
    )


def _mend_union(arguments: tuple[Any, ...], known: dict[Any, Mend | None]) -> Mend | None:
    menders = [found for one in arguments if (found := _mender(one, known)) is not None]
    if len(menders) == 1:
        return menders[0]
    if not menders:
        return None

    def mend(value: Any) -> Any:
        for one in menders:
            value = one(value)
        return value

    return mend


def _mend_struct(type: type[Struct], known: dict[Any, Mend | None]) -> Mend | None:
    fields = [
        (field.encode_name, field.name, found)
        for field in msgspec.structs.fields(type)
        if (found := _mender(field.type, known)) is not None
    ]
    if not fields:
        return None

    def mend(value: Any) -> Any:
        if isinstance(value, type):
            for _, name, one in fields:
                old = getattr(value, name)
                if old is not None and (new := one(old)) is not old:
                    force_setattr(value, name, new)
        return value

    return mend


# --- queries --------------------------------------------------------------------------------------


class QueryDecoder:
    """Decodes the query parameters of one operation into keyword arguments."""

    def __init__(self, operation: Operation) -> None:
        self._queries = [
            (query.name, query.name.replace("-", "_"), query.type, query.required)
            for query in operation.query
        ]

    def __call__(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Arguments for the parameters that were given; ids as canonical text."""
        arguments: dict[str, Any] = {}
        for name, keyword, type, required in self._queries:
            text = given.get(name)
            if text is None:
                if required:
                    raise missing("query", name)
                continue
            arguments[keyword] = _query_value(name, text.replace("\0", "\ufffd"), type)
        return arguments


def _query_value(name: str, text: str, type: Any) -> Any:
    try:
        value = msgspec.convert(text, type, strict=False)
    except msgspec.ValidationError as error:
        raise Unprocessable(problem_of(error, "query", name)) from None
    return str(value) if isinstance(value, UUID) else _mend_instant(value)


def path_value(name: str, text: str, type: Any) -> Any:
    """A path parameter that is neither a UUID nor free text. Raises `Unprocessable`."""
    try:
        return msgspec.convert(text, type, strict=False)
    except msgspec.ValidationError as error:
        raise Unprocessable(problem_of(error, "path", name)) from None


# --- refusals -------------------------------------------------------------------------------------


def problem_of(error: Exception, *prefix: str | int) -> Problem:
    """What a decoder's error says, with the path to the member as the contract writes it."""
    if isinstance(error, msgspec.ValidationError):
        message, _, path = str(error).partition(" - at `$")
        path = path.removesuffix("`")
        loc: list[str | int] = [*prefix, *_steps(path)]
        return _validation_problem(message, loc)
    if isinstance(error, RecursionError):
        return Problem(list(prefix), "The document is nested too deeply", "recursion_loop")
    if isinstance(error, OverflowError):
        return Problem(list(prefix), str(error), "int_parsing_size")
    return Problem(list(prefix), f"JSON decode error: {error}", "json_invalid")


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    for name, index in _PATH.findall(path):
        steps.append(name or (int(index) if index.isdigit() else index))
    return steps


def _validation_problem(message: str, loc: list[str | int]) -> Problem:
    member = _MEMBER.search(message)
    if message.startswith("Object missing required") and member:
        return Problem([*loc, member["name"]], "Field required", "missing")
    if message.startswith("Object contains unknown") and member:
        return Problem([*loc, member["name"]], "Extra inputs are not permitted", "extra_forbidden")
    return Problem(loc, message, _kind(message))


_KINDS = (
    ("Invalid enum value", "enum"),
    ("Invalid UUID", "uuid_parsing"),
    ("Invalid RFC3339", "datetime_parsing"),
    ("Invalid value", "union_tag_invalid"),
    ("Expected `str` matching", "string_pattern_mismatch"),
    ("Expected `str` of length <=", "string_too_long"),
    ("Expected `str` of length >=", "string_too_short"),
    ("Expected `int` >=", "greater_than_equal"),
    ("Expected `int` <=", "less_than_equal"),
    ("Expected `float` >=", "greater_than_equal"),
    ("Expected `float` <=", "less_than_equal"),
    ("Expected `str`", "string_type"),
    ("Expected `int`", "int_type"),
    ("Expected `float`", "float_type"),
    ("Expected `bool`", "bool_type"),
    ("Expected `array`", "list_type"),
    ("Expected `object`", "model_type"),
    ("Expected `uuid`", "uuid_type"),
    ("Expected `datetime`", "datetime_type"),
)


def _kind(message: str) -> str:
    for start, kind in _KINDS:
        if message.startswith(start):
            return kind
    return "value_error"


def refusal(problem: Problem, body: bytes, hidden: Sequence[str] = ()) -> dict[str, Any]:
    """The content of a 422 answer; secrets and `hidden` members of the echoed body are masked."""
    return {
        "exception_message": "Invalid request received.",
        "exception_detail": [problem],
        "request_body": _echoed(body, hidden),
    }


def _echoed(body: bytes, hidden: Sequence[str]) -> Any:
    try:
        shown = echo(msgspec.json.decode(body)) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # What cannot be read cannot be searched for secrets, so nothing of it is sent back.
        return None
    if not hidden:
        return shown
    if not isinstance(shown, dict):
        return None
    return shown | {name: MASK for name in hidden if name in shown}
