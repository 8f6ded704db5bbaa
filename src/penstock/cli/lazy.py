"""Command groups that are imported when they are called, and arguments that may be options."""

import importlib
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

import click

F = TypeVar("F", bound=Callable[..., Any])


class Entry:
    """Where a command lives, the help line that is shown without loading it, and other names."""

    __slots__ = ("aliases", "doc", "target")

    def __init__(self, target: str, doc: str, aliases: tuple[str, ...] = ()) -> None:
        self.target = target
        self.doc = doc
        self.aliases = aliases


class LazyGroup(click.Group):
    """A group whose commands are given as `module:attribute` and loaded on use.

    Help lists them without loading any. A plural alias of a command is accepted, not listed.
    """

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._entries = entries
        self._aliases = {alias: name for name, entry in entries.items() for alias in entry.aliases}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = self._aliases.get(cmd_name, cmd_name)
        name = name if name in self._entries else name.removesuffix("s")
        entry = self._entries.get(name)
        if entry is None:
            return None
        module, attribute = entry.target.split(":")
        return getattr(importlib.import_module(module), attribute)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            known = ", ".join(self._entries)
            ctx.fail(f"there is no command {args[0]!r}; there are: {known}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, entry.doc) for name, entry in self._entries.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def argument(name: str, **attributes: Any) -> Callable[[F], F]:
    """A positional argument that is also accepted as the option `--name`."""
    required = attributes.pop("required", True)
    flag = "--" + name.replace("_", "-")
    option = f"{name}_option"
    if required:
        # The parser must not insist, because the option may carry the value.
        attributes.setdefault("metavar", name.upper())

    def decorate(function: F) -> F:
        @wraps(function)
        def merged(*args: Any, **kwargs: Any) -> Any:
            chosen = kwargs.pop(option)
            if chosen in (None, ()):
                chosen = kwargs[name]
            if required and chosen in (None, ()):
                raise click.UsageError(f"Missing argument {name.upper()!r}.")
            return function(*args, **{**kwargs, name: chosen})

        for_option: dict[str, Any] = {}
        if "type" in attributes:
            for_option["type"] = attributes["type"]
        if attributes.get("nargs") == -1:
            for_option["multiple"] = True
        shown = click.argument(name, required=False, **attributes)
        hidden = click.option(flag, option, hidden=True, **for_option)
        return cast(F, shown(hidden(merged)))

    return decorate
