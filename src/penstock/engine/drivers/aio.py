"""Carries effects out on the running event loop."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import nullcontext
from typing import Any

from penstock.base.run_context import current_run
from penstock.engine.drivers.loops import wait
from penstock.engine.drivers.services import Services, trimmed
from penstock.engine.effects import (
    Call,
    Check,
    Effect,
    Emit,
    Now,
    Read,
    Request,
    RunTimeoutError,
    Sleep,
    Submit,
    Wait,
    Write,
)
from penstock.engine.timeouts import message
from penstock.logging import patch_print
from penstock.transactions import AsyncTransaction


async def run(core: Generator[Effect, Any, Any], services: Services) -> Any:
    """Drive `core` to its end and return its answer."""
    error: BaseException | None = None
    answer: Any = None
    while True:
        try:
            if error is None:
                effect = core.send(answer)
            else:
                raising, error = error, None
                effect = core.throw(raising)
        except StopIteration as stop:
            return stop.value
        try:
            answer = await perform(effect, services)
        except BaseException as exc:  # supervision point: the core decides what it means
            error = trimmed(exc)


async def generate(
    core: Generator[Effect, Any, Any], services: Services
) -> AsyncGenerator[Any, Any]:
    """Drive `core`, whose function is an async generator, handing its items to the caller."""
    error: BaseException | None = None
    answer: Any = None
    while True:
        try:
            if error is None:
                effect = core.send(answer)
            else:
                raising, error = error, None
                effect = core.throw(raising)
        except StopIteration:
            return
        if not (isinstance(effect, Call) and effect.yields):
            try:
                answer = await perform(effect, services)
            except BaseException as exc:  # supervision point: the core decides what it means
                error = trimmed(exc)
            continue
        answer = None
        generator = effect.fn(*effect.args, **effect.kwargs)
        step: Awaitable[Any] = anext(generator)
        remaining = effect.timeout
        while True:
            started = asyncio.get_running_loop().time()
            try:
                item = await _in_context(effect, step, remaining)
            except StopAsyncIteration:
                break
            except BaseException as exc:  # supervision point: the core decides what it means
                error = trimmed(exc)
                break
            if remaining is not None:
                remaining = max(remaining - (asyncio.get_running_loop().time() - started), 0)
            if effect.on_item is not None:
                effect.on_item(item)
            try:
                step = generator.asend((yield item))
            except GeneratorExit:
                await generator.aclose()
                await _finish(core, services)
                raise
            except BaseException as exc:  # the consumer threw it in: it belongs to the generator
                step = generator.athrow(exc)


async def _finish(core: Generator[Effect, Any, Any], services: Services) -> None:
    """The consumer stopped early: the function ended well, with no value."""
    answer: Any = None
    while True:
        try:
            effect = core.send(answer)
        except StopIteration:
            return
        answer = await perform(effect, services)


async def _in_context(effect: Call, step: Awaitable[Any], timeout: float | None) -> Any:
    token = current_run.set(effect.context)
    try:
        return await _within(timeout, step)
    finally:
        current_run.reset(token)


async def _within(seconds: float | None, step: Awaitable[Any]) -> Any:
    if seconds is None:
        return await step
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            return await step
    except TimeoutError as exc:
        if scope.expired() and exc.__traceback__ is not None:
            raise RunTimeoutError(message(seconds)) from None
        raise


async def perform(effect: Effect, services: Services) -> Any:
    """Carry `effect` out and return its answer."""
    match effect:
        case Now():
            return services.now()
        case Emit():
            return services.emit(effect.event)
        case Call():
            return await _call(effect)
        case Check():
            return effect.context.requested
        case Read():
            transaction = AsyncTransaction(**effect.options)
            await transaction.__aenter__()
            found = await transaction.read() if transaction.is_committed() else None
            return transaction, found
        case Write():
            return await _write(effect)
        case Request():
            return await services.client.call(
                effect.operation, *effect.path, body=effect.body, **effect.query
            )
        case Sleep():
            return await asyncio.sleep(effect.seconds)
        case Wait():
            return await wait(effect.futures)
        case Submit():
            return await asyncio.to_thread(effect.action)


async def _write(effect: Write) -> Any:
    if effect.transaction is None:
        return await asyncio.to_thread(effect.action) if effect.action is not None else None
    error = effect.error
    if error is None:
        return await effect.transaction.__aexit__(None, None, None)
    return await effect.transaction.__aexit__(type(error), error, error.__traceback__)


async def _call(effect: Call) -> Any:
    context = effect.context
    token = current_run.set(context)
    try:
        with patch_print() if context is not None and context.log_prints else nullcontext():
            if effect.yields:
                return await _within(effect.timeout, _items(effect))
            if not effect.awaits:
                return effect.fn(*effect.args, **effect.kwargs)
            return await _within(effect.timeout, effect.fn(*effect.args, **effect.kwargs))
    finally:
        current_run.reset(token)


async def _items(effect: Call) -> list[Any]:
    items: list[Any] = []
    async for item in effect.fn(*effect.args, **effect.kwargs):
        if effect.on_item is not None:
            effect.on_item(item)
        items.append(item)
    return items
