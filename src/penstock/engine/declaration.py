"""What flows and tasks have in common as declarations: names, options, methods of classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial, update_wrapper
from types import CodeType, MethodType
from typing import TYPE_CHECKING, Any, Self, cast

from penstock.base.lazy import LazyModule
from penstock.engine.params import Signature

if TYPE_CHECKING:
    import copy
    import hashlib
    import inspect
    import textwrap
else:
    copy = LazyModule("copy")  # a method of a class may be declared, seldom is
    hashlib = LazyModule("hashlib")  # loads all of OpenSSL
    inspect = LazyModule("inspect")  # costs as much as all the rest of a declaration
    textwrap = LazyModule("textwrap")

CO_GENERATOR = 0x20
CO_COROUTINE = 0x80
CO_ASYNC_GENERATOR = 0x200


class Declared:
    """A function that was declared to be a flow or task.

    `target` is what a run calls. As an attribute of a class it binds like the function would: the
    instance is kept on the bound copy, so that two of them never mix.
    """

    fn: Callable[..., Any]
    name: str
    kind = "function"

    def _declare(self, fn: Any, name: str | None) -> None:
        self._descriptor = fn if isinstance(fn, classmethod | staticmethod) else None
        plain = fn.__func__ if self._descriptor is not None else fn
        if not callable(plain):
            raise TypeError(
                f"a {self.kind} is made of a function or another callable, not of {plain!r}"
            )
        self.fn = plain
        self.target: Callable[..., Any] = plain
        if name is not None and not isinstance(name, str):
            raise TypeError(f"the name of a {self.kind} is text, not {name!r}")
        flags = code_flags(plain)
        self.isasync = bool(flags & (CO_COROUTINE | CO_ASYNC_GENERATOR))
        self.isgenerator = bool(flags & (CO_GENERATOR | CO_ASYNC_GENERATOR))
        self.isstaticmethod = isinstance(fn, staticmethod)
        self.isclassmethod = isinstance(fn, classmethod)
        update_wrapper(cast(Any, self), plain)

    @property
    def ismethod(self) -> bool:
        """Whether this is bound to an instance."""
        return isinstance(self.target, MethodType) and not self.isclassmethod

    @cached_property
    def signature(self) -> Signature:
        """The signature of a call: without the parameter that a bound instance fills."""
        return Signature(self.target, f"{self.kind} {self.name!r}")

    @cached_property
    def source_code(self) -> str | None:
        """The source text of the function, where there is one."""
        try:
            return textwrap.dedent(inspect.getsource(self.fn))
        except (OSError, TypeError):
            return None

    def __get__(self, instance: Any, owner: type | None = None) -> Self:
        if self.isstaticmethod:
            return self
        if self.isclassmethod:
            return self._bound_to(owner if owner is not None else type(instance))
        return self if instance is None else self._bound_to(instance)

    def _bound_to(self, instance: Any) -> Self:
        bound = copy.copy(self)
        bound.__dict__.pop("signature", None)
        bound.target = MethodType(self.fn, instance)
        return bound

    def __getstate__(self) -> dict[str, Any]:
        # The source is read where the file is, before the object travels.
        _ = self.source_code
        return {name: value for name, value in self.__dict__.items() if name != "signature"}


def code_flags(fn: Any) -> int:
    """The kind of function that calling `fn` runs: partials, methods and objects looked through."""
    while isinstance(fn, partial):
        fn = fn.func
    fn = getattr(fn, "__func__", fn)
    code = getattr(fn, "__code__", None)
    if code is None and callable(fn):
        code = getattr(type(fn).__call__, "__code__", None)
    return code.co_flags if code is not None else 0


def code_hash(fn: Any) -> str:
    """Eight hexadecimal digits that change with the code of `fn`."""
    code = getattr(fn, "__code__", None)
    if code is None:
        text = f"{type(fn).__module__}.{type(fn).__qualname__}".encode()
    else:
        text = _code_text(code)
    return hashlib.sha256(text).hexdigest()[:8]


def _code_text(code: CodeType) -> bytes:
    parts = [code.co_code, repr(code.co_names).encode()]
    for constant in code.co_consts:
        # Of sets the order is not stable from process to process.
        stable = sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
        inner = isinstance(constant, CodeType)
        parts.append(_code_text(constant) if inner else repr(stable).encode())
    return b"\0".join(parts)


def own_name(fn: Any) -> str:
    """The name of a function, of what a partial calls, or of an object's class."""
    while isinstance(fn, partial):
        fn = fn.func
    return getattr(fn, "__name__", None) or type(fn).__name__


def description_of(fn: Any) -> str | None:
    """The function's documentation, without its indentation."""
    return inspect.getdoc(fn)


def file_hash(fn: Any) -> str | None:
    """A digest of the file that defines `fn`; None when there is none."""
    code = getattr(fn, "__code__", None)
    path = code.co_filename if code is not None else None
    if path is None:
        return None
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (path objects cost more here)
            content = file.read()
    except OSError:
        return None
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
