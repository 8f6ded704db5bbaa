"""Write src/penstock/client/generated.py: the typed methods of the sync and the async client.

One method for each public function of penstock.client.methods, and one for each operation of the
table that none of them replaces. Run it after changing either; `--check` only compares.
"""

import ast
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from penstock.schemas.operations import OPERATIONS, Operation  # noqa: E402

METHODS = ROOT / "src/penstock/client/methods.py"
OUTPUT = ROOT / "src/penstock/client/generated.py"
NOT_METHODS = {"proposal"}
HEAD = '''"""Typed methods of the clients. Written by scripts/generate_client.py; do not edit."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from penstock.client import methods
from penstock.client.calls import Call, Steps
'''


def main(check: bool) -> int:
    text = generated()
    if check:
        if OUTPUT.read_text() != text:
            print(f"{OUTPUT.name} is out of date; run python scripts/generate_client.py")
            return 1
        return 0
    OUTPUT.write_text(text)
    return 0


def generated() -> str:
    """The text of the module."""
    tree = ast.parse(METHODS.read_text())
    functions = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and node.name not in NOT_METHODS
    ]
    written = {node.name for node in functions}
    rest = [op for op in OPERATIONS.values() if op.name not in written]
    imports = _imports(tree, functions, rest)
    parts = [HEAD, imports]
    for asynchronous in (False, True):
        parts.append(_class_head(asynchronous))
        parts.extend(_from_function(node, asynchronous) for node in functions)
        parts.extend(_from_operation(op, asynchronous) for op in rest)
    return _formatted("".join(parts))


def _class_head(asynchronous: bool) -> str:
    prefix = "Async" if asynchronous else "Sync"
    word = "async def" if asynchronous else "def"
    text = "awaited " if asynchronous else ""
    return f'''

class {prefix}Methods:
    """One {text}method for everything the API offers."""

    {word} call(self, operation: str, /, *params: Any, body: Any = None, **query: Any) -> Any:
        raise NotImplementedError

    {word} _run(self, asked: Call[Any] | Steps[Any]) -> Any:
        raise NotImplementedError
'''


def _from_function(node: ast.FunctionDef, asynchronous: bool) -> str:
    args = node.args
    signature = ast.unparse(args)
    passed = [arg.arg for arg in args.args] + [f"{arg.arg}={arg.arg}" for arg in args.kwonlyargs]
    if args.kwarg is not None:
        passed.append(f"**{args.kwarg.arg}")
    result = _result(node.returns)
    comma = ", " if signature else ""
    words = ("async def", "await ") if asynchronous else ("def", "")
    doc = ast.get_docstring(node)
    docstring = f'        """{_joined(doc)}"""\n' if doc else ""
    returns = "return " if result != "None" else ""
    return (
        f"\n    {words[0]} {node.name}(self{comma}{signature}) -> {result}:\n{docstring}"
        f"        {returns}{words[1]}self._run(methods.{node.name}({', '.join(passed)}))\n"
    )


def _joined(doc: str) -> str:
    return "\n        ".join(line.strip() for line in doc.splitlines())


def _result(returns: ast.expr | None) -> str:
    assert isinstance(returns, ast.Subscript)
    return ast.unparse(returns.slice)


def _from_operation(op: Operation, asynchronous: bool) -> str:
    words = ("async def", "await ") if asynchronous else ("def", "")
    arguments, passed = ["self"], [repr(op.name)]
    for name, kind in zip(op.param_names, op.params, strict=True):
        arguments.append(f"{name}: {_name(kind)}{' | str' if _name(kind) == 'UUID' else ''}")
        passed.append(name)
    if op.body is not None:
        default = "" if op.body_required else " | None = None"
        arguments.append(f"body: {_name(op.body)}{default}")
        passed.append("body=body")
    required = [query for query in op.query if query.required]
    optional = [query for query in op.query if not query.required]
    if op.query:
        arguments.append("*")
    for query in (*required, *optional):
        name = query.name.replace("-", "_")
        arguments.append(f"{name}: {_name(query.type)}{'' if query.required else ' | None = None'}")
        passed.append(f"{name}={name}")
    result = "None" if op.response is None or op.status == 204 else _name(op.response)
    returns = "return " if result != "None" else ""
    return (
        f"\n    {words[0]} {op.name}({', '.join(arguments)}) -> {result}:\n"
        f'        """{op.method} {op.path}"""\n'
        f"        {returns}{words[1]}self.call({', '.join(passed)})\n"
    )


def _name(kind: Any) -> str:
    if kind is None or kind is type(None):
        return "None"
    arguments = getattr(kind, "__args__", None)
    origin = getattr(kind, "__origin__", None)
    if origin in (list, dict):
        return f"{origin.__name__}[{', '.join(_name(one) for one in arguments)}]"
    if arguments and not isinstance(kind, type):
        names = [_name(one) for one in arguments]
        return " | ".join(names)
    if arguments:
        return f"{kind.__name__}[{', '.join(_name(one) for one in arguments)}]"
    return "Any" if kind is Any else kind.__name__


def _types(kind: Any) -> set[Any]:
    arguments = getattr(kind, "__args__", None)
    if arguments:
        return set().union(*(_types(one) for one in arguments))
    return {kind}


def _imports(tree: ast.Module, functions: list[ast.FunctionDef], rest: list[Operation]) -> str:
    used = {
        name.id
        for function in functions
        for part in (function.args, function.returns)
        if part is not None
        for name in ast.walk(part)
        if isinstance(name, ast.Name)
    }
    known: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("penstock.schemas"):
            names = {alias.name for alias in node.names} & used
            if names:
                known.setdefault(node.module or "", set()).update(names)
    for op in rest:
        kinds = (op.body, op.response, *op.params, *(query.type for query in op.query))
        for kind in set().union(*(_types(one) for one in kinds)):
            module = getattr(kind, "__module__", "")
            if module.startswith("penstock."):
                known.setdefault(module, set()).add(kind.__name__)
            elif kind is datetime:
                known.setdefault("datetime", set()).add("datetime")
    if "datetime" in used:
        known.setdefault("datetime", set()).add("datetime")
    if "Labels" in used:
        known.setdefault("penstock.client.methods", set()).add("Labels")
    return "".join(
        f"from {module} import {', '.join(sorted(names))}\n" for module, names in known.items()
    )


def _formatted(text: str) -> str:
    import subprocess

    for command in (("check", "--select", "I,F401", "--fix", "--quiet"), ("format", "--quiet")):
        text = subprocess.run(  # noqa: S603 - the project's own formatter
            [
                str(Path(sys.executable).parent / "ruff"),
                *command,
                "--stdin-filename",
                str(OUTPUT),
                "-",
            ],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout
    return text


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
