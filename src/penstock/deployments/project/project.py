"""A project: its file, its deployments, and which of them a command means."""

import fnmatch
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from penstock.deployments.project.document import Document, Position, ProjectFileError
from penstock.deployments.project.shape import Fault, Path_, faults
from penstock.deployments.project.source import flow_name_in

FILE_NAMES = ("penstock.yaml", "penstock.yml", "prefect.yaml")


class Problem(NamedTuple):
    """A fault with its place, ready to be read."""

    file: str
    line: int
    column: int
    key: str
    message: str
    allowed: str
    level: str

    def __str__(self) -> str:
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        key = f"`{self.key}` " if self.key else "the file "
        return f"{self.file}:{self.line}:{self.column}: {self.level}: {key}{self.message}{allowed}"


class Declared(NamedTuple):
    """A deployment of a project file, the one with this `number`, counted from zero."""

    number: int
    data: dict[str, Any]

    @property
    def name(self) -> str | None:
        return self.data.get("name") or None

    @property
    def path(self) -> Path_:
        return ("deployments", self.number)


class Project:
    """The project file of a directory; one that is not there is empty.

    Raises `ProjectFileError` for a file that cannot be read.
    """

    def __init__(self, path: Path, directory: Path | None = None) -> None:
        self.path = path
        self.directory = directory if directory is not None else Path.cwd()
        self.exists = path.exists()
        self.document = Document.read(path) if self.exists else Document("", path)

    @classmethod
    def find(cls, directory: Path, given: Path | None = None) -> "Project":
        """The project of a file that is given, or of the first known name in `directory`."""
        if given is not None:
            return cls(given, directory)
        for name in FILE_NAMES:
            if (directory / name).exists():
                return cls(directory / name, directory)
        return cls(directory / FILE_NAMES[0], directory)

    @property
    def data(self) -> Mapping[str, Any]:
        data = self.document.data
        return data if isinstance(data, Mapping) else {}

    @property
    def deployments(self) -> list[Declared]:
        listed = self.data.get("deployments")
        if not isinstance(listed, list):
            return []
        return [
            Declared(number, dict(one))
            for number, one in enumerate(listed)
            if isinstance(one, Mapping)
        ]

    def steps(self, kind: str, declared: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The steps of a kind: the deployment's own, else those of the file."""
        own = declared[kind] if kind in declared else self.data.get(kind)
        if isinstance(own, Mapping):
            return [{key: value} for key, value in own.items()]
        return [dict(step) for step in own or () if step]

    def problems(self) -> list[Problem]:
        """What is wrong with the file's shape, in the order of its lines."""
        found = [self.problem(fault) for fault in faults(self.document.data)]
        return sorted(found, key=lambda one: (one.line, one.column))

    def problem(self, fault: Fault) -> Problem:
        line, column = self.position(fault.path)
        return Problem(
            shown(self.path),
            line,
            column,
            dotted(fault.path),
            fault.message,
            fault.allowed,
            "warning" if fault.warning else "error",
        )

    def position(self, path: Sequence[str | int]) -> Position:
        return self.document.place(path)

    def select(self, names: Sequence[str]) -> tuple[list[Declared], list[str]]:
        """The deployments that `names` mean, and the names that mean none.

        A name may hold `*` and may be `<flow>/<deployment>`, where the flow's part is compared
        with the name of the flow itself.
        """
        chosen: list[Declared] = []
        unknown = []
        for name in names:
            found = [one for one in self.deployments if self._is_meant(one, name)]
            chosen += [one for one in found if one not in chosen]
            if not found:
                unknown.append(name)
        return sorted(chosen), unknown

    def _is_meant(self, declared: Declared, name: str) -> bool:
        if declared.name is None:
            return False
        flow, slash, deployment = name.rpartition("/")
        if not fnmatch.fnmatchcase(str(declared.name), deployment):
            return False
        if not slash:
            return True
        names = {declared.data.get("flow_name"), self.flow_name(declared)}
        return any(one is not None and fnmatch.fnmatchcase(one, flow) for one in names)

    def flow_name(self, declared: Declared) -> str | None:
        """The name of the deployment's flow as its source tells it; nothing is executed."""
        return flow_name_in(self.directory, declared.data.get("entrypoint"))


def shown(path: Path) -> str:
    """The path as a person would write it from here."""
    try:
        return os.path.relpath(path)
    except ValueError:
        return str(path)


def dotted(path: Sequence[str | int]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


__all__ = ["Declared", "Problem", "Project", "ProjectFileError", "dotted", "shown"]
