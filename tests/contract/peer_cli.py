"""The peer's commands, each in a process of its own that need not import them first.

Import this before anything of the peer: a small process is forked that imports the commands once
and forks a child for each command it is asked for.
"""

import importlib
import json
import os
import pkgutil
import socket
import sys
import tempfile
import traceback
from pathlib import Path

SECONDS = 60


def prefect(*arguments, code=0, seconds=SECONDS):
    """What the command printed; it must end with `code`."""
    request = json.dumps({"arguments": ["--no-prompt", *arguments], "seconds": seconds})
    _CHANNEL.write(request.encode() + b"\n")
    _CHANNEL.flush()
    answer = json.loads(_CHANNEL.readline())
    assert answer["code"] == code, f"{arguments}: {answer}"
    return answer["out"]


def _serve(channel):
    os.environ |= {"NO_COLOR": "1", "COLUMNS": "300"}
    import prefect.cli

    for module in pkgutil.iter_modules(prefect.cli.__path__):
        try:
            importlib.import_module(f"prefect.cli.{module.name}")
        except ImportError:
            continue  # needs an extra that is not there
    while line := channel.readline():
        channel.write(json.dumps(_answer(**json.loads(line))).encode() + b"\n")
        channel.flush()


def _answer(arguments, seconds):
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        pid = os.fork()
        if pid == 0:
            _run(arguments, seconds, out, err)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return {"code": code, "out": out.read_text(), "err": err.read_text()[-3000:]}


def _run(arguments, seconds, out, err):
    import signal

    from prefect.cli import app

    code = 70
    try:
        signal.alarm(seconds)
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), number)
        sys.argv = ["prefect", *arguments]
        app()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _start():
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        try:
            _serve(theirs.makefile("rwb"))
        finally:
            os._exit(0)
    theirs.close()
    return ours.makefile("rwb")


_CHANNEL = _start()
