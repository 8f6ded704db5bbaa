"""Several states, and the one state they make together."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, TypeGuard

from penstock.schemas.states import State, StateType
from penstock.states.constructors import Cancelled, Completed, Failed, Paused


def is_state(obj: Any) -> TypeGuard[State]:
    return isinstance(obj, State)


def is_state_iterable(obj: Any) -> TypeGuard[Iterable[State]]:
    """Whether `obj` is a list, tuple or set of states only, with at least one."""
    if isinstance(obj, list | tuple | set) and obj:
        return all(isinstance(item, State) for item in obj)
    return False


class StateGroup:
    """Several states and what can be said of them together."""

    def __init__(self, states: Iterable[State]) -> None:
        self.states = list(states)
        self.type_counts = Counter(state.type for state in self.states)
        self.total_count = len(self.states)
        self.cancelled_count = self.type_counts[StateType.CANCELLED]
        self.final_count = sum(state.is_final() for state in self.states)
        self.not_final_count = self.total_count - self.final_count
        self.paused_count = self.type_counts[StateType.PAUSED]

    @property
    def fail_count(self) -> int:
        return self.type_counts[StateType.FAILED] + self.type_counts[StateType.CRASHED]

    def all_completed(self) -> bool:
        return self.type_counts[StateType.COMPLETED] == self.total_count

    def any_cancelled(self) -> bool:
        return self.cancelled_count > 0

    def any_failed(self) -> bool:
        return self.fail_count > 0

    def any_paused(self) -> bool:
        return self.paused_count > 0

    def all_final(self) -> bool:
        return self.final_count == self.total_count

    def counts_message(self) -> str:
        """How many there are, how many are not final, and how many of each type."""
        parts = [f"total={self.total_count}"]
        if self.not_final_count:
            parts.append(f"not_final={self.not_final_count}")
        parts += [f"{type.value}={self.type_counts[type]}" for type in sorted(self.type_counts)]
        return " ".join(parts)

    def __repr__(self) -> str:
        return f"StateGroup<{self.counts_message()}>"


def aggregate_state(states: Iterable[State], data: Any = None) -> State:
    """The one state of a run that returned these: completed only when all are."""
    group = StateGroup(states)
    if group.all_completed():
        return Completed(message="All states completed.", data=data)
    total = group.total_count
    if group.any_cancelled():
        message = f"{group.cancelled_count}/{total} states cancelled."
        return Cancelled(message=message, data=data)
    if group.any_paused():
        return Paused(message=f"{group.paused_count}/{total} states paused.", data=data)
    if group.any_failed():
        return Failed(message=f"{group.fail_count}/{total} states failed.", data=data)
    return Failed(message=f"{group.not_final_count}/{total} states are not final.", data=data)
