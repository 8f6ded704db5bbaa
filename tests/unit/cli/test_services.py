import json

import pytest
from click.testing import CliRunner

from penstock.cli.services import LOOPS, services
from penstock.settings import temporary_settings
from penstock.settings.table import find


def listed() -> list[dict[str, object]]:
    result = CliRunner().invoke(services, ["ls", "-o", "json"], catch_exceptions=False)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_every_loop_of_the_server_is_described() -> None:
    assert {loop["name"] for loop in listed()} == set(LOOPS)


@pytest.mark.parametrize("name", [name for name, loop in LOOPS.items() if loop.setting])
def test_the_switch_of_a_loop_switches_it(name: str) -> None:
    switch = find(LOOPS[name].setting)
    assert switch is not None
    with temporary_settings({switch: True}):
        assert {loop["name"]: loop["enabled"] for loop in listed()}[name] is True
    with temporary_settings({switch: False}):
        assert {loop["name"]: loop["enabled"] for loop in listed()}[name] is False
