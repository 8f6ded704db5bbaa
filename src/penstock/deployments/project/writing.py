"""Values as YAML text, and files replaced as a whole.

Text is written plain where that is plainly text, as a block where it has several lines, and as a
JSON string otherwise; everything written here reads back as the value it was.
"""

import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/](?:[\w./@%+*=()\[\],-]|:(?=[\w./@])| (?=[\w./@+(-]))*", re.ASCII)
_BANNED = {
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "none",
}  # fmt: skip
_BLOCK = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]+")
STEP = 2


def block(value: Any, indent: int, literal: bool = True) -> list[str]:
    """`value` in block style, as lines without line ends; the first one is not indented.

    A mapping's or list's lines belong below its key; text, numbers and empty collections are one
    line that belongs beside it. Without `literal`, text of several lines is a JSON string too.
    """
    pad = " " * indent
    lines: list[str] = []
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            lines += member(str(key), item, indent, literal)
    elif isinstance(value, list | tuple) and value:
        for item in value:
            lines += entry(item, indent, literal)
    else:
        return [flow(value)]
    lines[0] = lines[0].removeprefix(pad)
    return lines


def member(key: str, value: Any, indent: int, literal: bool = True) -> list[str]:
    """A member of a mapping at `indent`, as lines."""
    pad = " " * indent
    head = f"{pad}{scalar(key)}:"
    if isinstance(value, Mapping | list | tuple) and value:
        inner = indent + STEP
        lines = block(value, inner, literal)
        return [head, " " * inner + lines[0], *lines[1:]]
    if literal and isinstance(value, str) and "\n" in value:
        written = _literal(value, indent + STEP)
        if written is not None:
            return [f"{head} {written[0]}", *written[1:]]
    return [f"{head} {flow(value)}"]


def entry(value: Any, indent: int, literal: bool = True) -> list[str]:
    """An item of a list whose dash is at `indent`, as lines."""
    inner = indent + STEP
    if literal and isinstance(value, str) and "\n" in value:
        written = _literal(value, inner)
        if written is not None:
            return [f"{' ' * indent}- {written[0]}", *written[1:]]
    lines = block(value, inner, literal)
    return [f"{' ' * indent}- {lines[0]}", *lines[1:]]


def _literal(text: str, indent: int) -> list[str] | None:
    """`text` as a literal block; None where that would not read back as the same text."""
    body = text.removesuffix("\n")
    lines = body.split("\n")
    if (
        not all(line == "" or _BLOCK.fullmatch(line) for line in lines)
        or lines[0] != lines[0].lstrip()
        or not lines[0]
        or not lines[-1]
        or any(line != line.rstrip() for line in lines)
        or "\t" in body
    ):
        return None
    head = "|" if text.endswith("\n") else "|-"
    pad = " " * indent
    return [head, *(pad + line if line else "" for line in lines)]


def flow(value: Any) -> str:
    """`value` on one line, in a form that may stand inside `[ ]` and `{ }` too."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_quoted(str(key))}: {flow_item(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(flow_item(item) for item in value)}]"
    return scalar(value)


def flow_item(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else flow(value)


def scalar(value: Any) -> str:
    """One value on one line. Raises `TypeError` for what YAML has no form for."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, datetime | date):
        return _quoted(value.isoformat())
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _BANNED:
            return value
        return _quoted(value)
    raise TypeError(f"{type(value).__name__} cannot be written to a project file: {value!r}")


def _float(value: float) -> str:
    if value != value:
        return ".nan"
    if value in (float("inf"), float("-inf")):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    if "e" in text and "." not in text:  # YAML 1.1 asks for the dot
        text = text.replace("e", ".0e")
    if "e" in text and "e-" not in text and "e+" not in text:
        text = text.replace("e", "e+")
    return text


def _quoted(text: str) -> str:
    # What JSON leaves as it is and YAML breaks lines at or does not print is written as an escape.
    body = json.dumps(text, ensure_ascii=False)
    return re.sub(
        r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]",
        lambda found: f"\\u{ord(found[0]):04x}",
        body,
    )


# --- files ---------------------------------------------------------------------------------------


def replace_file(path: Path, content: bytes, *, expected: bytes | None = None) -> None:
    """Puts `content` at `path` as a whole, synced to the disk; a reader sees the old or the new.

    Permissions stay, a symbolic link stays one. With `expected`, the file must still hold that,
    so that what somebody else saved meanwhile is not lost. Raises `FileExistsError` otherwise.
    """
    target = Path(os.path.realpath(path))
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(mode if mode is not None else 0o666 & ~_umask())
        if expected is not None and (target.read_bytes() if target.exists() else b"") != expected:
            raise FileExistsError(
                f"{path} was changed by somebody else meanwhile; nothing was saved, try again"
            )
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
