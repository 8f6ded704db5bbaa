"""Pictures of flows: what calls what, without running a task."""

import asyncio
import stat
from pathlib import Path

import pytest

from penstock import flow, task
from penstock.schemas.errors import FlowVisualizationError, VisualizationUnsupportedError


@task
def fetch(name: str) -> str:
    raise AssertionError("a task is not run")


@task(viz_return_value=[1, 2])
def split(text: object) -> list[int]:
    raise AssertionError("a task is not run")


@task
async def store(*items: object) -> None:
    raise AssertionError("a task is not run")


@flow
def pipeline(count: int = 2) -> None:
    texts = [fetch(str(number)) for number in range(count)]
    split({"of": texts})


def test_tasks_are_joined_by_their_results() -> None:
    assert pipeline.generate_mermaid_graph(2).splitlines() == [
        "graph TD",
        '    t0["fetch-0"]',
        '    t1["fetch-1"]',
        '    t2["split-0"]',
        "    t0 --> t2",
        "    t1 --> t2",
    ]


def test_a_given_value_stands_for_a_result() -> None:
    @flow
    def sums() -> int:
        return sum(split(fetch("a")))

    assert "    t0 --> t1" in sums.generate_mermaid_graph()

    @flow
    def wrong() -> int:
        return sum(fetch("a"))  # type: ignore[arg-type]

    with pytest.raises(FlowVisualizationError, match="viz_return_value"):
        wrong.generate_mermaid_graph()


def test_submitted_tasks_cannot_be_drawn() -> None:
    @flow
    def submits() -> None:
        fetch.submit("a")

    with pytest.raises(VisualizationUnsupportedError, match=r"task\.submit"):
        submits.generate_mermaid_graph()


def test_subflows_are_boxes() -> None:
    @flow
    def outer() -> None:
        pipeline()

    assert outer.generate_mermaid_graph().splitlines() == ["graph TD", '    t0["pipeline-0"]']


def test_a_picture_is_written_by_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @flow(name="stores")
    async def stores() -> None:
        await store(split(fetch("a")), 1)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FlowVisualizationError, match="Graphviz is not there"):
        asyncio.run(stores.avisualize())
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\nwhile read -r line; do echo "$line"; done > "$3"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    asyncio.run(stores.avisualize())
    drawn = (tmp_path / "stores.png").read_text()
    assert '"fetch-0" -> "split-0"' in drawn
    assert '"split-0" -> "store-0"' in drawn
    with pytest.raises(TypeError, match="avisualize"):
        stores.visualize()
