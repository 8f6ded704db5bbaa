"""The generated reference pages say what the code says."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


@pytest.mark.parametrize("name", ["settings.md", "cli.md"])
def test_the_page_is_up_to_date(reference: ModuleType, name: str) -> None:
    committed = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert committed == reference.PAGES[name](), "run `python scripts/reference.py`"


def test_every_setting_is_on_the_page(reference: ModuleType) -> None:
    from penstock.settings.table import SETTINGS

    page = reference.settings_page()
    assert [a for a in SETTINGS if f"### `{a}`\n" not in page] == []


def test_every_option_and_command_says_what_it_does(reference: ModuleType) -> None:
    silent = []
    for path, command in reference.commands(reference.cli, ("penstock",)):
        if not command.help:
            silent.append(" ".join(path))
        silent += [
            f"{' '.join(path)} {parameter.opts[0]}"
            for parameter in command.params
            if isinstance(parameter, click.Option) and not (parameter.help or parameter.hidden)
        ]
    assert silent == []
