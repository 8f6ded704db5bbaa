"""What makes two runs of a task the same: policies that compute a cache key.

Policies add up (`INPUTS + TASK_SOURCE`), an input can be taken out of one (`INPUTS - "debug"`),
and a policy can be given a storage for its keys, an isolation level and a lock manager
(`configure`). A policy never changes; each of these gives a new one.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from penstock.hashing import hash_objects, stable_hash

if TYPE_CHECKING:
    from penstock.filesystems import WritableFileSystem
    from penstock.locking.protocol import LockManager
    from penstock.transactions import IsolationLevel


STABLE_TRANSFORMS: dict[type, Callable[[Any], Any]] = {}
"""How values of a type are changed before they are hashed, for types whose own form is not
stable. Frames of pandas are handled without an entry."""


@dataclass
class CachePolicy:
    """Base of all policies. A subclass implements `compute_key`."""

    key_storage: "WritableFileSystem | str | Path | None" = None
    isolation_level: "Literal['READ_COMMITTED', 'SERIALIZABLE'] | IsolationLevel | None" = None
    lock_manager: "LockManager | None" = None

    @classmethod
    def from_cache_key_fn(
        cls, cache_key_fn: "Callable[[Any, dict[str, Any]], str | None]"
    ) -> "CacheKeyFnPolicy":
        """A policy whose key is what `cache_key_fn(context, parameters)` returns."""
        return CacheKeyFnPolicy(cache_key_fn=cache_key_fn)

    def configure(
        self,
        key_storage: "WritableFileSystem | str | Path | None" = None,
        lock_manager: "LockManager | None" = None,
        isolation_level: "Literal['READ_COMMITTED', 'SERIALIZABLE'] | IsolationLevel | None" = None,
    ) -> Self:
        """A copy with the given ones set; what is not given stays."""
        new = copy(self)
        if key_storage is not None:
            new.key_storage = key_storage
        if lock_manager is not None:
            new.lock_manager = lock_manager
        if isolation_level is not None:
            new.isolation_level = isolation_level
        return new

    def compute_key(
        self,
        task_ctx: Any,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        """The key of a run, or None for a run that is not cached."""
        raise NotImplementedError(f"{type(self).__name__} does not implement `compute_key`")

    def __add__(self, other: "CachePolicy") -> "CachePolicy":
        if not isinstance(other, CachePolicy):
            raise TypeError(f"a cache policy and a {type(other).__name__} cannot be added")
        if isinstance(other, _None):
            return self
        if isinstance(self, _None):
            return other
        return CompoundCachePolicy(
            policies=[self, other],
            key_storage=_agreed("key_storage", self, other),
            isolation_level=_agreed("isolation_level", self, other),
            lock_manager=_agreed("lock_manager", self, other),
        )

    def __sub__(self, other: str) -> "CachePolicy":
        """This policy without the input named `other`."""
        _check_name(other)
        return CompoundCachePolicy(
            policies=[self, Inputs(exclude=[other])],
            key_storage=self.key_storage,
            isolation_level=self.isolation_level,
            lock_manager=self.lock_manager,
        )


@dataclass
class CacheKeyFnPolicy(CachePolicy):
    """The key is what the user's function returns."""

    cache_key_fn: "Callable[[Any, dict[str, Any]], str | None] | None" = None

    def compute_key(
        self,
        task_ctx: Any,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        return self.cache_key_fn(task_ctx, inputs) if self.cache_key_fn else None


@dataclass
class CompoundCachePolicy(CachePolicy):
    """Several policies as one: the key is a digest of their keys.

    Compounds inside are flattened, and several `Inputs` become one that leaves out what any of
    them leaves out.
    """

    policies: list[CachePolicy] = field(default_factory=list)

    def __post_init__(self) -> None:
        flat: list[CachePolicy] = []
        for policy in self.policies:
            if isinstance(policy, CompoundCachePolicy):
                flat.extend(policy.policies)
            elif not isinstance(policy, _None):
                flat.append(policy)
        inputs = [policy for policy in flat if isinstance(policy, Inputs)]
        if len(inputs) > 1:
            merged = copy(inputs[0])
            merged.exclude = sorted({name for policy in inputs for name in policy.exclude})
            place = flat.index(inputs[0])
            flat = [policy for policy in flat if not isinstance(policy, Inputs)]
            flat.insert(place, merged)
        self.policies = flat

    def compute_key(
        self,
        task_ctx: Any,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        keys = [
            key
            for policy in self.policies
            if (key := policy.compute_key(task_ctx, inputs, flow_parameters, **kwargs)) is not None
        ]
        if not keys:
            return None
        # Lengths keep ("ab", "c") and ("a", "bc") apart.
        return stable_hash("".join(f"{len(key)}:{key}" for key in keys))


class _None(CachePolicy):
    """No caching: never a key. Neutral in a sum."""

    def compute_key(
        self,
        task_ctx: Any,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        return None

    def __sub__(self, other: str) -> CachePolicy:
        _check_name(other)
        return self


class TaskSource(CachePolicy):
    """The key is a digest of the task's source text, or of its bytecode where no text is known."""

    def compute_key(
        self,
        task_ctx: Any,
        inputs: dict[str, Any] | None,
        flow_parameters: dict[str, Any] | None,
        **kwargs: Any,
    ) -> str | None:
        if not task_ctx:
            return None
        source = getattr(task_ctx.task, "source_code", None)
        if source:
            return _source_hash(source)
        code = getattr(task_ctx.task.fn, "__code__", None)
        return stable_hash(code.co_code) if code is not None else None


class FlowParameters(CachePolicy):
    """The key is a digest of the parameters of the flow around the task."""

    def compute_key(
        self,
        task_ctx: Any,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        return hash_objects(flow_parameters, raise_on_failure=True) if flow_parameters else None


class RunId(CachePolicy):
    """The key is the id of the flow run, or of the task run outside a flow."""

    def compute_key(
        self,
        task_ctx: Any,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        if not task_ctx:
            return None
        run = task_ctx.task_run
        return str(getattr(run, "flow_run_id", None) or run.id)


@dataclass
class Inputs(CachePolicy):
    """The key is a digest of the arguments, without those named in `exclude`.

    Raises `HashError` for an argument that can be hashed neither as JSON nor as pickle.
    """

    exclude: list[str] = field(default_factory=list)

    def compute_key(
        self,
        task_ctx: Any,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        if not inputs:
            return None
        hashed = {
            name: value if type(value) in _PLAIN else _stable(value)
            for name, value in inputs.items()
            if name not in self.exclude
        }
        return hash_objects(hashed, raise_on_failure=True)

    def __sub__(self, other: str) -> CachePolicy:
        _check_name(other)
        new = copy(self)
        new.exclude = [*self.exclude, other]
        return new


_PLAIN = frozenset({str, int, float, bool, type(None), bytes})


def _agreed(name: str, one: CachePolicy, other: CachePolicy) -> Any:
    first, second = getattr(one, name), getattr(other, name)
    if first is None or second is None:
        return second if first is None else first
    if first != second:
        raise ValueError(
            f"the policies have different values of {name} ({first!r} and {second!r}); "
            "add them first and configure the sum"
        )
    return first


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of an input is text, not a {type(name).__name__}")


@lru_cache(maxsize=1024)
def _source_hash(source: str) -> str:
    return stable_hash(source)


def _stable(value: Any) -> Any:
    """`value` in a form whose digest does not depend on accidents, such as a column order."""
    kind = type(value)
    transform = STABLE_TRANSFORMS.get(kind)
    if transform is not None:
        return transform(value)
    if kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas":
        return [value[column] for column in sorted(value.columns, key=str)]
    return value


INPUTS = Inputs()
NONE = _None()
NO_CACHE = _None()
TASK_SOURCE = TaskSource()
FLOW_PARAMETERS = FlowParameters()
RUN_ID = RunId()
DEFAULT = INPUTS + TASK_SOURCE + RUN_ID
