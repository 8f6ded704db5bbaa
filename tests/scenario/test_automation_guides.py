"""Guides on automations: their code runs, and each recipe fires when it should and no sooner."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.databases import World, database_url
from tests.embedded_api import EmbeddedApi, embedded_api
from tests.firing import Automations
from tests.scenario.test_how_to import GUIDES, code_of

from penstock.automations import _body
from penstock.base.clock import ManualClock
from penstock.schemas.automations import AutomationCreate
from penstock.schemas.states import StateCreate, StateType
from penstock.server.domain.templates import template_problem
from penstock.server.ops import automations
from penstock.server.ops.transition import force_state
from penstock.server.security.rendering import is_template
from penstock.server.store import open_store


@pytest.fixture
def recipes(tmp_path: Path) -> ModuleType:
    return code_of("automation-recipes.md", tmp_path, blocks=1)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Automations]:
    clock = ManualClock()
    with database_url("sqlite", tmp_path) as url:
        store = open_store(url, clock=clock)
        store.start()
        try:
            yield Automations(World(store, clock))
        finally:
            store.stop()


class Story:
    """One run of a flow and one automation that watches it."""

    def __init__(self, run: Automations, rule: object) -> None:
        self.run = run
        body = _body(rule, AutomationCreate)  # type: ignore[arg-type]
        run.world.write(automations.create_automation, body=body)
        self.id = run.world.flow_run(StateType.SCHEDULED)
        run.turn()

    def state(self, type: StateType, name: str | None = None) -> None:
        proposed = StateCreate(type=type, name=name)
        self.run.world.write(force_state, "flow_run", self.id, proposed)
        self.run.turn()

    def heartbeat(self) -> None:
        self.run.emit(
            "prefect.flow-run.heartbeat",
            {"prefect.resource.id": f"prefect.flow-run.{self.id}"},
        )
        self.run.turn()

    def minutes(self, minutes: float) -> None:
        self.run.world.clock.advance(minutes * 60)
        self.run.turn()

    @property
    def fired(self) -> int:
        return len(self.run.firings())

    @property
    def name(self) -> str:
        return self.run.world.rows("SELECT state_name FROM flow_run WHERE id = ?", self.id)[0][
            "state_name"
        ]


def test_late(run: Automations, recipes: ModuleType):
    story = Story(run, recipes.late)
    assert story.fired == 0
    story.state(StateType.SCHEDULED, "Late")
    assert story.fired == 1


@pytest.mark.parametrize("ends", [True, False])
def test_long_running(run: Automations, recipes: ModuleType, ends: bool):
    story = Story(run, recipes.long_running)
    story.state(StateType.RUNNING)
    story.minutes(59)
    assert story.fired == 0
    if ends:
        story.state(StateType.COMPLETED)
    story.minutes(2)
    assert (story.fired, story.name) == ((0, "Completed") if ends else (1, "Cancelling"))


@pytest.mark.parametrize("starts", [True, False])
def test_stuck_in_pending(run: Automations, recipes: ModuleType, starts: bool):
    story = Story(run, recipes.stuck_pending)
    story.state(StateType.PENDING)
    story.minutes(9)
    if starts:
        story.state(StateType.RUNNING)
    story.minutes(2)
    assert (story.fired, story.name) == ((0, "Running") if starts else (1, "Crashed"))


@pytest.mark.parametrize("ends", [True, False])
def test_heartbeat_lost(run: Automations, recipes: ModuleType, ends: bool):
    story = Story(run, recipes.heartbeat_lost)
    story.state(StateType.RUNNING)
    for _ in range(5):
        story.heartbeat()
        story.minutes(3)
    assert story.fired == 0
    if ends:
        story.state(StateType.COMPLETED)
    story.minutes(9)
    assert (story.fired, story.name) == ((0, "Completed") if ends else (1, "Crashed"))


@pytest.mark.parametrize("gets", [True, False])
def test_limit_full(run: Automations, recipes: ModuleType, gets: bool):
    story = Story(run, recipes.limit_full)
    story.state(StateType.SCHEDULED, "AwaitingConcurrencySlot")
    story.minutes(4)
    if gets:
        story.state(StateType.PENDING)
    story.minutes(2)
    assert story.fired == (0 if gets else 1)


def test_the_template_of_the_guide_can_be_rendered(run: Automations):
    text = (GUIDES / "automation-templates.md").read_text()
    template = text.split("```jinja\n")[1].split("```")[0]
    assert is_template(template) and template_problem(template) is None


@pytest.fixture
def api(tmp_path: Path) -> Iterator[EmbeddedApi]:
    with embedded_api(tmp_path / "home") as api:
        yield api


def test_automations_and_notifications(api: EmbeddedApi, tmp_path: Path):
    guide = code_of("automations.md", tmp_path, blocks=1)
    made = guide.watch_orders()
    for number in range(3):
        guide.order(number)
    told = code_of("notifications.md", tmp_path, blocks=1).tell_of_failures("https://example.com/x")
    names = [one.name for one in api.client.read_automations()]
    assert names == ["tell of failures", "three failed orders"]
    assert told.id and made.id
