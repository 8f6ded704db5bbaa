"""Write the reference pages that follow from the code: settings and commands.

`python scripts/reference.py` rewrites them; with `--check` it only says whether they are right.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from penstock.cli.main import cli  # noqa: E402
from penstock.settings.declaration import HomePath, Setting  # noqa: E402
from penstock.settings.table import RETIRED, SETTINGS  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"


def settings_page() -> str:
    """The page on settings."""
    lines = [
        "# Settings",
        "",
        "Written by `scripts/reference.py` from `penstock.settings.table`; do not edit.",
        "",
        "A setting is given, strongest first, by an argument in code, an environment variable, the",
        "file `.env`, `penstock.toml`, `prefect.toml`, `pyproject.toml` (`[tool.penstock]`, then",
        "`[tool.prefect]`) of the working directory, or the active profile in",
        "`$PENSTOCK_HOME/profiles.toml`; else it has its default. Every variable is also accepted",
        "with the prefix `PREFECT_`, which counts less. In TOML files tables follow the dotted",
        "name: `server.api.port` is `port` in `[server.api]`.",
    ]
    for group in dict.fromkeys(_group(setting) for setting in SETTINGS.values()):
        lines += ["", f"## {group or 'General'}", ""]
        for setting in SETTINGS.values():
            if _group(setting) == group:
                lines += list(_setting(setting))
    lines += ["", "## Without effect", ""]
    lines += ["Accepted for the sake of existing configurations:", ""]
    lines += [f"- `{accessor}`: {reason}" for accessor, reason in RETIRED.items()]
    return "\n".join(lines) + "\n"


def _group(setting: Setting) -> str:
    parts = setting.accessor.split(".")
    depth = 3 if parts[:2] == ["server", "services"] else 2 if parts[0] == "server" else 1
    return ".".join(parts[: min(depth, len(parts) - 1)])


def _setting(setting: Setting) -> Iterator[str]:
    default = setting.default
    is_path = isinstance(default, HomePath)
    shown = repr(default) if is_path else setting.kind.render(default)
    yield f"### `{setting.accessor}`"
    yield ""
    yield f"{setting.doc}  "
    yield (
        f"Variable: `{setting.name}`"
        + "".join(f", `PENSTOCK_{alias}`" for alias in setting.aliases)
        + "  "
    )
    secret = "; secret" if setting.is_secret else ""
    yield f"Type: {setting.kind.type_name} ({setting.kind.description}){secret}  "
    yield f"Default: `{shown}`" if shown else "Default: nothing"
    yield ""


def cli_page() -> str:
    """The page on commands."""
    lines = [
        "# Commands",
        "",
        "Written by `scripts/reference.py` from `penstock.cli`; do not edit.",
        "",
        "Output goes to stdout, errors and notes to stderr. Status 0 is success, 1 a command that",
        "could not do what it was asked, 2 wrong usage. `--output json` prints JSON and nothing",
        "else. Colours appear on terminals only, and not with `NO_COLOR`.",
    ]
    for path, command in commands(cli, ("penstock",)):
        lines += ["", *_command(path, command)]
    return "\n".join(lines) + "\n"


def commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its path, groups before their members."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path[-1])
        for name in sorted(command.list_commands(context)):
            member = command.get_command(context, name)
            if member is not None and not member.hidden:
                yield from commands(member, (*path, name))


def _command(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    context: click.Context | None = None
    for name in path:
        context = click.Context(command, info_name=name, parent=context)
    assert context is not None
    usage = " ".join([*path, *command.collect_usage_pieces(context)])
    yield f"## `{' '.join(path)}`"
    yield ""
    yield from (line.strip() for line in (command.help or "").splitlines())
    yield ""
    yield f"    {usage}"
    records = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) and record[0] != "--help" and record[1]
    ]
    if records:
        yield ""
        yield from (f"- `{flags}`: {text}" for flags, text in records)


PAGES = {"settings.md": settings_page, "cli.md": cli_page}


def main() -> int:
    check = "--check" in sys.argv[1:]
    status = 0
    for name, page in PAGES.items():
        path = REFERENCE / name
        text = page()
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            print(f"{path} is out of date; run `python scripts/reference.py`", file=sys.stderr)
            status = 1
        elif not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
