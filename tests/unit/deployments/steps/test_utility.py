"""The steps that run scripts: real commands."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.deployments.steps import pip_install_requirements, run_shell_script


def shell(script: str, **more: Any) -> Any:
    return asyncio.run(run_shell_script(script, **{"stream_output": False, **more}))


def test_each_line_is_a_command_of_its_own() -> None:
    assert shell("echo 'a  b'\n\n# comment\necho c | cat") == {
        "stdout": "a  b\nc | cat",
        "stderr": "",
    }
    assert shell("echo c | cat", shell=True)["stdout"] == "c"


def test_the_first_command_that_fails_ends_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"`ls /not-there-at-all` failed with exit code 2: ls"):
        shell("ls /not-there-at-all\ntouch after", directory=str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="'no-such-program' could not be started"):
        shell("no-such-program x")


def test_variables_are_given_and_replaced_when_asked_for(tmp_path: Path) -> None:
    script = "echo $STEP_X ${STEP_X} $STEP_NONE"
    assert shell(script, env={"STEP_X": "x y"})["stdout"] == script.removeprefix("echo ")
    expanded = shell(script, env={"STEP_X": "x"}, expand_env_vars=True)
    assert expanded["stdout"] == "x x $STEP_NONE"
    assert shell("pwd", directory=str(tmp_path))["stdout"] == str(tmp_path)


def test_output_is_shown_as_it_comes(capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        f"{sys.executable} -c \"import os; os.write(1, b'\\xff out\\n'); os.write(2, b'err\\n')\""
    )
    done = shell(program, stream_output=True)
    assert done == {"stdout": "\ufffd out", "stderr": "err"}
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("\ufffd out\n", "err\n")


def test_requirements_that_are_missing_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "uv"
    program.write_text('#!/bin/sh\necho "$PWD: $@"\n[ -f "$4" ] || { echo "no $4" >&2; exit 3; }\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "wanted.txt").write_text("")
    done = asyncio.run(pip_install_requirements(str(tmp_path), "wanted.txt", stream_output=False))
    assert done["stdout"] == (f"{tmp_path}: pip install -r wanted.txt --python {sys.executable}\n")
    with pytest.raises(RuntimeError, match=r"other.txt failed with exit code 3: no other.txt"):
        asyncio.run(pip_install_requirements(str(tmp_path), "other.txt", stream_output=False))
