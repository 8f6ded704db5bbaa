"""Hooks: functions of the user that are called when a run enters a state."""

from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any

from penstock.base.run_context import RunContext
from penstock.engine.effects import Call, Effect
from penstock.engine.retry import is_coroutine_callable


def hook_name(hook: Any) -> str:
    """What a hook is called in the log: its name, that of a partial's function, or its class."""
    if isinstance(hook, partial):
        return hook_name(hook.func)
    return getattr(hook, "__name__", None) or type(hook).__name__


def check_hooks(owner: str, **hooks: Iterable[Callable[..., Any]] | None) -> dict[str, list[Any]]:
    """Lists of hooks by kind. Raises `TypeError` for what is no iterable of callables."""
    checked: dict[str, list[Any]] = {}
    for kind, given in hooks.items():
        if given is None:
            checked[kind] = []
            continue
        try:
            checked[kind] = list(given)
        except TypeError:
            raise TypeError(
                f"{kind} of {owner} is {given!r}; give a list of functions, [{hook_name(given)}]"
            ) from None
        for hook in checked[kind]:
            if not callable(hook):
                raise TypeError(f"{kind} of {owner} contains {hook!r}, which cannot be called")
    return checked


def run_hooks(
    hooks: Iterable[Callable[..., Any]],
    arguments: tuple[Any, ...],
    context: RunContext | None,
    logger: Any,
) -> Generator[Effect, Any, None]:
    """Call each hook with `arguments`. What a hook raises is logged and goes no further."""
    for hook in hooks:
        name = hook_name(hook)
        logger.info("Running hook %r in response to entering state %r", name, arguments[-1].name)
        try:
            yield Call(hook, arguments, context=context, awaits=is_coroutine_callable(hook))
        except Exception:  # a failing hook must not change what happens to the run
            logger.error("Hook %r failed", name, exc_info=True)
        else:
            logger.info("Hook %r finished", name)
