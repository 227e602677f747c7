"""How does one run of git end within its bounds?"""

from __future__ import annotations

import functools
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from reconciler.errors import Unreachable

OLDEST = (2, 31)  # the first to take settings from GIT_CONFIG_COUNT, which keeps the token off the command line
PRINTED_BYTES = 16 * 1024 * 1024
WATCH_SECONDS = 0.25
_CHUNK = 64 * 1024
_INSTALL_HINT = f"install git {OLDEST[0]}.{OLDEST[1]} or newer"


@dataclass(frozen=True, slots=True)
class Output:
    """What a run of git left: its exit status, and what it printed."""

    status: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode(errors="replace").splitlines()


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    deadline_seconds: float,
    about: str = "git",
    watch: Callable[[], None] = lambda: None,
    data: bytes = b"",
) -> Output:
    """Run git and return what it left, whatever its exit status; it reads `data`.

    `watch` is called a few times a second and ends the run by raising. Raises Unreachable past the deadline, naming what
    it is `about`, and when git is missing. Nothing that git started outlives this call.
    """
    try:
        # A session of its own, so that git's children (ssh, remote-https, index-pack) end with it.
        with _readable(data) as stdin:
            process = subprocess.Popen(
                ["git", *arguments],
                env=dict(environment),
                cwd="/",
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
    except FileNotFoundError as error:
        raise Unreachable("git was not found", hint=_INSTALL_HINT) from error
    with process:
        try:
            return _finish(process, time.monotonic() + deadline_seconds, watch)
        except TimeoutError as error:
            raise Unreachable(f"{about} did not answer within {deadline_seconds:g} s") from error
        finally:
            _end(process)


@contextmanager
def _readable(data: bytes) -> Iterator[int]:
    """A file, not a pipe: nobody has to feed it while git prints."""
    if not data:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file.fileno()


@functools.cache
def require_git(path: str) -> None:
    """Raise Unreachable unless git is on this search path and new enough; a good answer is remembered."""
    environment = {"PATH": path, "LC_ALL": "C"}
    version = run(["--version"], environment, deadline_seconds=10).out.decode(errors="replace").strip()
    found = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if found < OLDEST:
        raise Unreachable(f"{version} is too old", hint=_INSTALL_HINT)


def _finish(process: subprocess.Popen[bytes], deadline: float, watch: Callable[[], None]) -> Output:
    out, err = _read_to_end(process, deadline, watch)
    try:
        status = process.wait(max(0.0, deadline - time.monotonic()) + WATCH_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    return Output(status, bytes(out), err.decode(errors="replace"))


def _read_to_end(process: subprocess.Popen[bytes], deadline: float, watch: Callable[[], None]) -> tuple[bytearray, bytearray]:
    printed = bytearray(), bytearray()
    next_watch = time.monotonic() + WATCH_SECONDS
    with selectors.DefaultSelector() as selector:
        for pipe, target in zip((process.stdout, process.stderr), printed, strict=True):
            selector.register(pipe, selectors.EVENT_READ, target)  # type: ignore[arg-type]  # both are pipes here
        while selector.get_map():
            for key, _ in selector.select(WATCH_SECONDS):
                if chunk := os.read(key.fd, _CHUNK):
                    key.data.extend(chunk)
                else:
                    selector.unregister(key.fileobj)
            if (now := time.monotonic()) > deadline:
                raise TimeoutError
            if now > next_watch:
                watch()
                next_watch = now + WATCH_SECONDS
            _refuse_flood(printed)
    return printed


def _refuse_flood(printed: tuple[bytearray, bytearray]) -> None:
    if sum(map(len, printed)) > PRINTED_BYTES:
        raise Unreachable(f"git printed more than {PRINTED_BYTES >> 20} MiB and was stopped")


def _end(process: subprocess.Popen[bytes]) -> None:
    # Once waited for, the process id may name somebody else; before that it names this group, even if git is dead.
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
