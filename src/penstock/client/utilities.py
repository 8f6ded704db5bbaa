"""Giving a coroutine function a client that its caller need not pass."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from penstock.client.orchestration import PenstockClient, get_client

P = ParamSpec("P")
R = TypeVar("R")


def get_or_create_client(client: PenstockClient | None = None) -> tuple[PenstockClient, bool]:
    """The given client, else that of the settings; and whether it was given."""
    return (client, True) if client is not None else (get_client(), False)


def inject_client(
    fn: Callable[P, Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    """`fn` with its keyword `client` filled in when the caller leaves it out or passes None."""

    @wraps(fn)
    async def with_client(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs.get("client") is None:
            kwargs["client"] = get_client()
        return await fn(*args, **kwargs)

    return with_client


def client_injector(
    func: Callable[Concatenate[PenstockClient, P], Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    """`func` with its first argument, the client, filled in."""

    @wraps(func)
    async def with_client(*args: P.args, **kwargs: P.kwargs) -> R:
        return await func(get_client(), *args, **kwargs)

    return with_client
