"""Steps that install packages and run scripts."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, TypedDict

_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})")


class RunShellScriptResult(TypedDict):
    stdout: str
    stderr: str


async def pip_install_requirements(
    directory: str | None = None,
    requirements_file: str = "requirements.txt",
    stream_output: bool = True,
) -> dict[str, Any]:
    """Install what a requirements file names, with uv where it is there; what was printed.

    Raises `RuntimeError` when it fails.
    """
    uv = shutil.which("uv")
    own = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    tail = ["--python", sys.executable] if uv else []
    command = [*own, "install", "-r", requirements_file, *tail]
    status, stdout, stderr = _run(command, directory, None, stream_output)
    if status:
        raise RuntimeError(
            f"installing {requirements_file} failed with exit code {status}: {_last(stderr)}"
        )
    return {"stdout": stdout, "stderr": stderr}


async def run_shell_script(
    script: str,
    directory: str | None = None,
    env: dict[str, str] | None = None,
    stream_output: bool = True,
    expand_env_vars: bool = False,
    shell: bool = False,
) -> RunShellScriptResult:
    """Run the lines of `script`, each as a command of its own; what they printed.

    A line is split like a shell does and runs without one, unless `shell`. With
    `expand_env_vars`, `$NAME` is replaced before. `env` is on top of the environment. The first
    command that fails ends it with `RuntimeError`.
    """
    environment = {**os.environ, **(env or {})}
    stdout: list[str] = []
    stderr: list[str] = []
    for line in script.splitlines():
        text = _expanded(line, environment) if expand_env_vars else line
        text = text.strip()
        if not text or text.startswith("#"):
            continue
        command: str | list[str] = text if shell else shlex.split(text)
        status, out, err = _run(command, directory, environment, stream_output)
        stdout.append(out)
        stderr.append(err)
        if status:
            raise RuntimeError(f"`{line.strip()}` failed with exit code {status}: {_last(err)}")
    return {"stdout": _joined(stdout), "stderr": _joined(stderr)}


def _expanded(text: str, environment: dict[str, str]) -> str:
    """`text` with `$NAME` and `${NAME}` replaced; what is not set stays as it is."""
    return _VARIABLE.sub(lambda found: environment.get(found[1] or found[2], found[0]), text)


def _joined(parts: Sequence[str]) -> str:
    return "\n".join(part.strip("\n") for part in parts if part.strip("\n"))


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _run(
    command: str | list[str],
    directory: str | None,
    environment: dict[str, str] | None,
    stream: bool,
) -> tuple[int, str, str]:
    """Run one command; its exit code, stdout and stderr, shown as they come when `stream`."""
    try:
        process = subprocess.Popen(  # noqa: S603 (running what the project asks for is the step)
            command,
            cwd=Path(directory).expanduser() if directory else None,
            env=environment,
            shell=isinstance(command, str),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        name = command if isinstance(command, str) else command[0]
        raise RuntimeError(f"{name!r} could not be started: {error.strerror}") from error
    errors: list[str] = []
    assert process.stdout is not None and process.stderr is not None
    reader = threading.Thread(
        target=lambda pipe: errors.extend(_lines(pipe, sys.stderr if stream else None)),
        args=(process.stderr,),
        daemon=True,
    )
    reader.start()
    output = _lines(process.stdout, sys.stdout if stream else None)
    status = process.wait()
    reader.join()
    process.stdout.close()
    process.stderr.close()
    return status, "".join(output), "".join(errors)


def _lines(pipe: IO[str], shown: Any) -> list[str]:
    lines = []
    for line in pipe:
        lines.append(line)
        if shown is not None:
            shown.write(line)
            shown.flush()
    return lines
