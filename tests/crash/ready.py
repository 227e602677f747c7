"""How does a process of the command line begin without the time that Python takes to read the program?

A process that has read it waits here, and each command is a fork of it: a process of its own, that is killed as any other.
One line says what to run, and is answered by two: the process, once it runs, and how it ended.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

from reconciler.cli import FAILED
from reconciler.cli import main as command_line

READ = (
    "reconciler.cli.apply",
    "reconciler.cli.plan",
    "reconciler.cli.progress",
    "reconciler.cli.rollback",
    "reconciler.cli.settled",
    "reconciler.drivers.docker",
    "reconciler.drivers.git",
    "reconciler.drivers.sqlite",
    "reconciler.load.loading",
    "reconciler.loop",
)


def main() -> None:
    """Answer until nobody asks."""
    for module in READ:
        importlib.import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        if not (process := os.fork()):
            code = FAILED
            try:
                code = _run(asked)
            finally:
                os._exit(code)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(asked: dict[str, Any]) -> int:
    os.setsid()
    os.chdir(asked["directory"])
    os.environ.clear()
    os.environ.update(asked["variables"])
    for number, place in enumerate((os.devnull, asked["out"], asked["err"])):
        os.dup2(os.open(place, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
    try:
        return command_line(asked["words"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    main()
