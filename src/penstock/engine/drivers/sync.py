"""Carries effects out in the calling thread."""

import contextvars
import time
from collections.abc import Generator
from contextlib import nullcontext
from importlib import import_module
from typing import Any

from penstock.base.run_context import current_run
from penstock.engine.drivers.services import Services, trimmed
from penstock.engine.effects import (
    Call,
    Check,
    Effect,
    Emit,
    Now,
    Read,
    Request,
    Sleep,
    Submit,
    Wait,
    Write,
)
from penstock.engine.timeouts import deadline
from penstock.logging import patch_print
from penstock.transactions import Transaction


def run(core: Generator[Effect, Any, Any], services: Services) -> Any:
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
            answer = perform(effect, services)
        except BaseException as exc:  # supervision point: the core decides what it means
            error = trimmed(exc)


def generate(core: Generator[Effect, Any, Any], services: Services) -> Generator[Any, Any, Any]:
    """Drive `core`, whose function is a generator, handing its items to the caller."""
    context = contextvars.copy_context()
    error: BaseException | None = None
    answer: Any = None
    while True:
        try:
            if error is None:
                effect = context.run(core.send, answer)
            else:
                raising, error = error, None
                effect = context.run(core.throw, raising)
        except StopIteration as stop:
            return stop.value
        try:
            if isinstance(effect, Call) and effect.yields:
                answer = yield from _items(effect, context)
            else:
                answer = context.run(perform, effect, services)
        except GeneratorExit:
            _close(core, context, services)
            raise
        except BaseException as exc:  # supervision point: the core decides what it means
            error = trimmed(exc)


def _items(effect: Call, context: contextvars.Context) -> Generator[Any, Any, Any]:
    """The items of a user's generator; its return value is the answer of the call."""
    remaining = effect.timeout
    generator = effect.fn(*effect.args, **effect.kwargs)
    sent: Any = None
    step = generator.send
    while True:
        started = time.monotonic()
        try:
            with deadline(remaining) if remaining is not None else nullcontext():
                item = context.run(_in_context, effect, step, sent)
        except StopIteration as stop:
            return stop.value
        if remaining is not None:
            remaining = max(remaining - (time.monotonic() - started), 0.000_001)
        if effect.on_item is not None:
            effect.on_item(item)
        step = generator.send
        try:
            sent = yield item
        except GeneratorExit:
            context.run(_in_context, effect, lambda _: generator.close(), None)
            raise
        except BaseException as exc:  # the consumer threw it in: it belongs to the generator
            step, sent = generator.throw, exc


def _close(core: Generator[Effect, Any, Any], context: Any, services: Services) -> None:
    """The consumer stopped early: the function ended well, with no value."""
    answer: Any = None
    while True:
        try:
            effect = context.run(core.send, answer)
        except StopIteration:
            return
        answer = context.run(perform, effect, services)


def _in_context(effect: Call, step: Any, sent: Any) -> Any:
    token = current_run.set(effect.context)
    try:
        return step(sent)
    finally:
        current_run.reset(token)


def perform(effect: Effect, services: Services) -> Any:
    """Carry `effect` out and return its answer."""
    match effect:
        case Now():
            return services.now()
        case Emit():
            return services.emit(effect.event)
        case Call():
            return _call(effect)
        case Check():
            return effect.context.requested
        case Read():
            transaction = Transaction(**effect.options)
            transaction.__enter__()
            return transaction, transaction.read() if transaction.is_committed() else None
        case Write():
            return _write(effect)
        case Request():
            return services.client.call(
                effect.operation, *effect.path, body=effect.body, **effect.query
            )
        case Sleep():
            return time.sleep(effect.seconds)
        case Wait():
            for future in effect.futures:
                future.wait()
            return None
        case Submit():
            return effect.action()


def _write(effect: Write) -> Any:
    if effect.transaction is None:
        return effect.action() if effect.action is not None else None
    error = effect.error
    if error is None:
        return effect.transaction.__exit__(None, None, None)
    return effect.transaction.__exit__(type(error), error, error.__traceback__)


def _call(effect: Call) -> Any:
    context = effect.context
    token = current_run.set(context)
    try:
        if effect.timeout is None and not effect.awaits and not (context and context.log_prints):
            if effect.yields:
                return list(_shown(effect))
            return effect.fn(*effect.args, **effect.kwargs)
        with (
            patch_print() if context is not None and context.log_prints else nullcontext(),
            deadline(effect.timeout) if effect.timeout is not None else nullcontext(),
        ):
            if effect.yields:
                return list(_shown(effect))
            value = effect.fn(*effect.args, **effect.kwargs)
            return complete(value) if effect.awaits else value
    finally:
        current_run.reset(token)


def _shown(effect: Call) -> Generator[Any, None, None]:
    for item in effect.fn(*effect.args, **effect.kwargs):
        if effect.on_item is not None:
            effect.on_item(item)
        yield item


def complete(awaitable: Any) -> Any:
    """What `awaitable` gives, run to its end here although this code is synchronous."""
    # Loaded here: most programs of synchronous flows never need an event loop.
    return import_module("penstock.engine.drivers.loops").complete(awaitable)
