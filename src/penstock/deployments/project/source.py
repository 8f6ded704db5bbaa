"""What the source of a flow tells without being run: where it is, its name, its parameters."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Found(NamedTuple):
    """A function that an entrypoint names. `parameters` is None when it takes any keyword."""

    name: str | None
    parameters: tuple[str, ...] | None
    required: tuple[str, ...]
    is_flow: bool
    line: int


class SourceMissing(LookupError):
    """An entrypoint leads nowhere; the message says where it ends."""


def locate(directory: Path, entrypoint: str) -> Path:
    """The file of an entrypoint. Raises `SourceMissing`.

    A module is looked for in `directory` and on the path of this interpreter; nothing is imported.
    """
    location = entrypoint.rpartition(":")[0]
    if location.endswith(".py"):
        path = directory / location
        if not path.is_file():
            raise SourceMissing(f"there is no file {location}")
        return path
    relative = Path(*location.split("."))
    for root in [directory, *(Path(entry or ".") for entry in sys.path)]:
        for path in (root / relative.with_suffix(".py"), root / relative / "__init__.py"):
            if path.is_file():
                return path
    raise SourceMissing(f"there is no module {location}")


def function_in(path: Path, attribute: str) -> Found | None:
    """The function under a dotted name; None when another kind of statement defines the name.

    Raises `SourceMissing` when nothing does, or when the file is no Python.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise SourceMissing(
            f"{path.name} is no Python: {error}" + (f", line {line}" if line else "")
        ) from None
    body: list[ast.stmt] = tree.body
    *outer, last = attribute.split(".")
    for name in outer:
        found = next((s for s in _statements(body) if _defines(s, name)), None)
        if not isinstance(found, ast.ClassDef):
            raise SourceMissing(f"{path.name} has no class {name!r}")
        body = found.body
    statement = None
    for one in _statements(body):
        if _defines(one, last):
            statement = one
    if statement is None:
        if any(isinstance(s, ast.ImportFrom) and s.names[0].name == "*" for s in body):
            return None
        flows = [s.name for s in _statements(body) if _is_flow(s)]
        known = f"; its flows are {', '.join(flows)}" if flows else ""
        raise SourceMissing(f"{path.name} has no flow {last!r}{known}")
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    return _found(statement, in_class=bool(outer))


def flow_name_in(directory: Path, entrypoint: Any) -> str | None:
    """The name of the flow at an entrypoint; None where the source does not tell."""
    if not isinstance(entrypoint, str) or ":" not in entrypoint:
        return None
    try:
        found = function_in(locate(directory, entrypoint), entrypoint.rpartition(":")[2])
    except (SourceMissing, OSError):
        return None
    return found.name if found is not None else None


def flows_below(directory: Path, limit: int = 200) -> list[str]:
    """The entrypoints of the flows in Python files below `directory`, hidden ones left out."""
    found: list[str] = []
    for number, path in enumerate(_python_files(directory)):
        if number >= limit:
            break
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        where = path.relative_to(directory).as_posix()
        found += [f"{where}:{s.name}" for s in tree.body if _is_flow(s)]  # type: ignore[attr-defined]
    return found


_SKIPPED = {"node_modules", "__pycache__", "site-packages", "build", "dist", "venv", "env"}


def _python_files(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.name in _SKIPPED:
            continue
        if path.is_dir() and not path.is_symlink():
            if not (path / "pyvenv.cfg").exists():
                yield from _python_files(path)
        elif path.suffix == ".py":
            yield path


def _statements(body: list[ast.stmt]) -> Iterator[Any]:
    """The statements of a body, those inside `if` and `try` too."""
    for statement in body:
        yield statement
        for part in ("body", "orelse", "handlers", "finalbody"):
            if isinstance(statement, ast.If | ast.Try | ast.With):
                yield from _statements(getattr(statement, part, []))
        if isinstance(statement, ast.Try):
            for handler in statement.handlers:
                yield from _statements(handler.body)


def _defines(statement: Any, name: str) -> bool:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name == name
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return any((one.asname or one.name.partition(".")[0]) == name for one in statement.names)
    targets = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return any(isinstance(n, ast.Name) and n.id == name for t in targets for n in ast.walk(t))


def _decorator(statement: Any) -> Any:
    """The flow decorator of a function; None when it has none."""
    for decorator in getattr(statement, "decorator_list", ()):
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name == "flow" or name.endswith("_flow"):
            return decorator
    return None


def _is_flow(statement: Any) -> bool:
    return (
        isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        and _decorator(statement) is not None
    )


def _found(statement: ast.FunctionDef | ast.AsyncFunctionDef, *, in_class: bool) -> Found:
    decorator = _decorator(statement)
    name: str | None = statement.name.replace("_", "-")
    for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
        if keyword.arg == "name":
            given = keyword.value
            name = str(given.value) if isinstance(given, ast.Constant) else None
    arguments = statement.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    needed = names[: len(names) - len(arguments.defaults)]
    needed += [
        one.arg
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    names += [one.arg for one in arguments.kwonlyargs]
    if in_class and names and names[0] in ("self", "cls"):
        needed = [one for one in needed if one != names[0]]
        names = names[1:]
    return Found(
        name,
        None if arguments.kwarg is not None else tuple(names),
        tuple(needed),
        decorator is not None or bool(statement.decorator_list),
        statement.lineno,
    )
