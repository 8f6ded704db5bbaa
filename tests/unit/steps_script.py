"""Runs the body of a dual function against written answers, without a server and without time."""

from collections.abc import Callable
from typing import Any

from penstock.steps import Monotonic, Request, Sleep


class Script:
    """Answers requests by operation; a list is used up answer by answer, the last one stays, and
    an exception is raised. A sleep moves the clock on. `done` holds every step in order."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.now = 100.0
        self.done: list[Any] = []

    def run(self, steps: Any) -> Any:
        """What the body returns."""
        try:
            step = next(steps)
            while True:
                self.done.append(step)
                answer = self._answer(step)
                if isinstance(answer, BaseException):
                    step = steps.throw(answer)
                else:
                    step = steps.send(answer)
        except StopIteration as stop:
            return stop.value

    def _answer(self, step: Any) -> Any:
        if isinstance(step, Monotonic):
            return self.now
        if isinstance(step, Sleep):
            self.now += step.seconds
            return None
        assert isinstance(step, Request), step
        answer = self.answers[step.operation]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer(step) if isinstance(answer, Callable) else answer

    @property
    def sleeps(self) -> list[float]:
        return [step.seconds for step in self.done if isinstance(step, Sleep)]

    def requests(self, operation: str) -> list[Request]:
        return [s for s in self.done if isinstance(s, Request) and s.operation == operation]
