"""Which bytes does an object of the clone hold?

One `git cat-file --batch` is kept open and asked over pipes, as git-cat-file(1) describes: a name on a line, then
`<id> <type> <size>` and the content, or `<name> missing`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from reconciler.drivers.git.faults import Damaged

_CHUNK = 1024 * 1024


class TooLarge(Exception):
    """An object is larger than the cap that this names. Never leaves this driver."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as git stores it: `type` is commit, tree or blob."""

    id: str
    type: str
    data: bytes


class CatFile:
    """Reads objects of one clone, by one thread at a time. git starts at the first question and ends with `close`."""

    def __init__(self, clone: Path, environment: Mapping[str, str], *, deadline_seconds: float) -> None:
        self._clone = clone
        self._environment = dict(environment)
        self._deadline_seconds = deadline_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._received = bytearray()
        self._finalizer: weakref.finalize[..., CatFile] | None = None

    def read(self, name: str, most_bytes: int) -> StoredObject:
        """Return the object of this (checked) name.

        Raises TooLarge before reading more than `most_bytes`, Damaged for what is missing, garbled or not to be had in
        time.
        """
        deadline = time.monotonic() + self._deadline_seconds
        try:
            return self._answer(name, most_bytes, deadline)
        except (OSError, ValueError) as error:
            self.close()
            raise Damaged(f"{name} cannot be read") from error
        except (Damaged, TooLarge):
            # The rest of the answer is still in the pipe.
            self.close()
            raise

    def close(self) -> None:
        """End git. The next question starts it again."""
        self._received.clear()
        self._process = None
        if self._finalizer:
            self._finalizer()

    def _answer(self, name: str, most_bytes: int, deadline: float) -> StoredObject:
        process = self._process or self._start()
        _pipe(process.stdin).write(name.encode() + b"\n")
        identity, kind, size = self._line(process, deadline).split(" ")
        if int(size) > most_bytes:
            raise TooLarge(str(most_bytes))
        data = self._take(process, int(size), deadline)
        self._take(process, 1, deadline)
        return StoredObject(identity, kind, data)

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["git", "--git-dir", str(self._clone), "cat-file", "--batch"],
            env=self._environment,
            cwd="/",
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._process = process
        self._finalizer = weakref.finalize(self, _end, process)
        return process

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> str:
        """Return the first line of an answer; `x missing` and `x ambiguous` are errors."""
        while (end := self._received.find(b"\n")) < 0:
            self._receive(process, deadline)
        line = self._received[:end].decode()
        del self._received[: end + 1]
        if line.endswith((" missing", " ambiguous")):
            raise Damaged(line)
        return line

    def _take(self, process: subprocess.Popen[bytes], count: int, deadline: float) -> bytes:
        while len(self._received) < count:
            self._receive(process, deadline)
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _receive(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        answers = _pipe(process.stdout)
        waiting = select.poll()
        waiting.register(answers, select.POLLIN)
        if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise Damaged("git cat-file did not answer in time")
        if not (chunk := os.read(answers.fileno(), _CHUNK)):
            raise Damaged("git cat-file ended")
        self._received += chunk


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "both pipes were asked for when the process was started"
    return pipe


def _end(process: subprocess.Popen[bytes]) -> None:
    with process, suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
