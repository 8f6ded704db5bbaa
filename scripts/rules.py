"""Write the tables of `docs/explanation/orchestration.md` that follow from the code.

`python scripts/rules.py` rewrites them; with `--check` it only says whether they are right.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from penstock.schemas.states import TERMINAL_STATES, StateType  # noqa: E402
from penstock.server.domain.orchestration.policy import (  # noqa: E402
    ANY,
    EVERY,
    POLICIES,
    Policy,
    Types,
)
from penstock.server.domain.orchestration.states import MATRIX, TYPES  # noqa: E402

PAGE = ROOT / "docs" / "explanation" / "orchestration.md"
START = "<!-- written by scripts/rules.py: do not edit below -->"


def page() -> str:
    """The whole page as it should be."""
    written, _, _ = PAGE.read_text(encoding="utf-8").partition(START)
    return written + START + "\n" + "\n".join(tables()) + "\n"


def tables() -> Iterator[str]:
    yield ""
    yield "## Rules"
    for policy in POLICIES:
        yield from _rules(policy)
    yield ""
    yield "## What can happen without force"
    yield ""
    yield "`+` accepted, `?` decided by a rule, `-` never accepted as proposed."
    for kind, matrix in MATRIX.items():
        yield ""
        yield f"### From (rows) and to (columns): {kind.value.replace('_', ' ')}s"
        yield ""
        yield "| | " + " | ".join(_short(type) for type in TYPES) + " |"
        yield "| --- |" + " --- |" * len(TYPES)
        for start in (None, *TYPES):
            marks = " | ".join(f"`{matrix[start, end].value}`" for end in TYPES)
            yield f"| {_short(start)} | {marks} |"


def _rules(policy: Policy) -> Iterator[str]:
    yield ""
    yield f"### {policy.name}"
    yield ""
    if not policy.rules:
        yield "No rules: everything is accepted."
        return
    yield "| # | rule | from | to | what it does |"
    yield "| --- | --- | --- | --- | --- |"
    for number, rule in enumerate(policy.rules, 1):
        summary = " ".join((rule.decide.__doc__ or "").split("\n\n")[0].split())
        row = (str(number), rule.name, _types(rule.start), _types(rule.end), summary)
        yield "| " + " | ".join(row) + " |"


def _types(types: Types) -> str:
    if types == ANY:
        return "any, none"
    if types == EVERY:
        return "any"
    if types == TERMINAL_STATES:
        return "terminal"
    absent = ANY - types if None in types else EVERY - types
    if len(absent) < len(types):
        return "all but " + ", ".join(_short(type) for type in TYPES if type in absent)
    return ", ".join(_short(type) for type in TYPES if type in types)


def _short(type: StateType | None) -> str:
    return type.value if type else "none"


def main(arguments: list[str]) -> int:
    wanted = page()
    if "--check" not in arguments:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{PAGE.relative_to(ROOT)} is out of date; run scripts/rules.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
