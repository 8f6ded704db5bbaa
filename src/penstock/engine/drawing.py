"""A picture of a flow: its tasks and how their results go into each other, without running them.

The flow's function is called with a tracker instead of the engine. Tasks give what their
`viz_return_value` says, or a stand-in; where one of these turns up among the arguments of another
task, the two are joined. Nothing is sent to a server.
"""

import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from penstock.base.run_context import current_tracker
from penstock.schemas.errors import FlowVisualizationError, VisualizationUnsupportedError


class VizTask:
    """One call of a task, and what stands for its result."""

    def __init__(self, name: str, upstream_tasks: "list[VizTask] | None" = None) -> None:
        self.name = name
        self.upstream_tasks = upstream_tasks or []

    def __repr__(self) -> str:
        return f"<result of {self.name}>"


class TaskVizTracker:
    """The calls of tasks while a flow is drawn."""

    def __init__(self) -> None:
        self.tasks: list[VizTask] = []
        self._counts: dict[str, int] = {}
        self._made: dict[int, tuple[Any, VizTask]] = {}

    def track(self, task: Any, parameters: dict[str, Any]) -> Any:
        """What a call of `task` gives while the flow is drawn: of its colour."""
        number = self._counts.get(task.name, 0)
        self._counts[task.name] = number + 1
        upstream = list(dict.fromkeys(self._makers(list(parameters.values()))))
        called = VizTask(f"{task.name}-{number}", upstream)
        self.tasks.append(called)
        given = getattr(task, "viz_return_value", None)
        value = called if given is None else given
        # Kept alive, so that an identity is never that of a later object.
        self._made[id(value)] = (value, called)
        return _coroutine(value) if task.isasync else value

    def _makers(self, value: Any) -> Iterator[VizTask]:
        made = self._made.get(id(value))
        if made is not None:
            yield made[1]
        elif isinstance(value, dict):
            for item in value.values():
                yield from self._makers(item)
        elif isinstance(value, list | tuple | set | frozenset):
            for item in value:
                yield from self._makers(item)


async def _coroutine(value: Any) -> Any:
    return value


def refuse(method: str) -> None:
    """Raise where a flow is drawn: what this method starts has no place in a picture."""
    if current_tracker.get() is not None:
        raise VisualizationUnsupportedError(
            f"a flow that uses `task.{method}` cannot be drawn; call the task directly"
        )


@contextmanager
def tracking() -> Iterator[TaskVizTracker]:
    tracker = TaskVizTracker()
    token = current_tracker.set(tracker)
    try:
        yield tracker
    finally:
        current_tracker.reset(token)


def tracked(flow: Any, parameters: dict[str, Any]) -> TaskVizTracker:
    """The calls of the tasks of a flow whose function is no coroutine function."""
    arguments, named = flow.signature.call_arguments(parameters)
    with tracking() as tracker, _explained(flow):
        result = flow.fn(*arguments, **named)
        if flow.isgenerator:
            list(result)
    return tracker


async def atracked(flow: Any, parameters: dict[str, Any]) -> TaskVizTracker:
    """As `tracked`, of a coroutine function or an async generator."""
    arguments, named = flow.signature.call_arguments(parameters)
    with tracking() as tracker, _explained(flow):
        result = flow.fn(*arguments, **named)
        if flow.isgenerator:
            async for _ in result:
                pass
        else:
            await result
    return tracker


@contextmanager
def _explained(flow: Any) -> Iterator[None]:
    try:
        yield
    except VisualizationUnsupportedError:
        raise
    except Exception as error:  # code of the user, fed with stand-ins
        raise FlowVisualizationError(
            f"flow {flow.name!r} cannot be drawn without results of its tasks ({error!r}); give "
            "the tasks a `viz_return_value` that it can go on with"
        ) from error


# --- pictures ------------------------------------------------------------------------------------


def mermaid(tracker: TaskVizTracker) -> str:
    """The tasks as a Mermaid flow chart."""
    ids = {id(task): f"t{number}" for number, task in enumerate(tracker.tasks)}
    lines = ["graph TD"]
    lines += [f'    {ids[id(task)]}["{_quoted(task.name)}"]' for task in tracker.tasks]
    lines += [
        f"    {ids[id(upstream)]} --> {ids[id(task)]}"
        for task in tracker.tasks
        for upstream in task.upstream_tasks
    ]
    return "\n".join(lines)


def graphviz(tracker: TaskVizTracker) -> str:
    """The tasks in Graphviz's language."""
    lines = ["digraph {"]
    lines += [f'  "{_escaped(task.name)}"' for task in tracker.tasks]
    lines += [
        f'  "{_escaped(upstream.name)}" -> "{_escaped(task.name)}"'
        for task in tracker.tasks
        for upstream in task.upstream_tasks
    ]
    return "\n".join([*lines, "}"])


def render(tracker: TaskVizTracker, name: str) -> str:
    """Write the picture as a PNG file in the working directory; its path.

    Raises `FlowVisualizationError` when Graphviz is not installed.
    """
    path = f"{name}.png"
    try:
        subprocess.run(  # noqa: S603 - the arguments are ours
            ["dot", "-Tpng", "-o", path],  # noqa: S607 - found as any program of the user is
            input=graphviz(tracker),
            text=True,
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        raise FlowVisualizationError(
            "the program `dot` of Graphviz is not there; install Graphviz, or use "
            "`flow.generate_mermaid_graph()`"
        ) from None
    except subprocess.CalledProcessError as error:
        raise FlowVisualizationError(f"Graphviz failed: {error.stderr.strip()}") from error
    return path


def show(tracker: TaskVizTracker, name: str) -> None:
    """Write the picture and tell where it is."""
    path = render(tracker, name)
    logging.getLogger("penstock.flows").info("The picture of flow %r is in %s", name, path)


def _quoted(text: str) -> str:
    return text.replace('"', "&quot;")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
