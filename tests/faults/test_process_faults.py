"""Does the process end as it should when it is told to, and does the next one go on where it was killed?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fault_proxy import Drop, FaultProxy, nth
from private_engine import PrivateEngine
from residence import Reside, service, write
from waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("private engine")]

PROJECT = Path(__file__).parents[2]
DEADLINE_SECONDS = 30.0
DEAF = """[sh, -c, "trap : TERM; while :; do sleep 0.1; done"]"""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def git(tmp_path: Path) -> Path:
    """The directory to be applied: one service, whose containers end only when they are killed after their grace."""
    write(tmp_path / "git", service("web", command=DEAF))
    return tmp_path / "git"


@pytest.fixture
def start(own_engine: PrivateEngine, tmp_path: Path) -> Iterator[Start]:
    """Start the command line in a process of its own, in a cgroup if one is named."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    started: list[subprocess.Popen[bytes]] = []

    def start(verb: str, *, engine: str = own_engine.url, group: Path | None = None) -> subprocess.Popen[bytes]:
        where = ("--engine", engine, "--state", str(tmp_path / "state"))
        words = (sys.executable, "-m", "reconciler", verb, str(tmp_path / "git"), *where)
        joined = _inside(group, 1000) if group else ()
        log = (tmp_path / "log").open("ab")
        started.append(subprocess.Popen((*joined, *words), env=environment, stdout=log, stderr=log))
        log.close()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def _applied(start: Start, tmp_path: Path) -> None:
    assert start("apply").wait(DEADLINE_SECONDS) == 0, (tmp_path / "log").read_text()


def _stopping(proxy: FaultProxy, start: Start, git: Path, grace: str) -> subprocess.Popen[bytes]:
    """Begin an update; return the process as soon as it stops the old container, which takes as long as the grace."""
    write(git, service("web", "web:2", command=DEAF, stop_grace_period=grace))
    process = start("run", engine=f"unix://{git.parent}/proxy.sock")
    until(lambda: any(call.path.endswith("/stop") for call in proxy.changes), "it stops the old container")
    return process


def test_f05_a_signal_to_end_in_the_middle_of_a_step(
    own_engine: PrivateEngine, proxy: FaultProxy, start: Start, git: Path, tmp_path: Path
) -> None:
    _applied(start, tmp_path)
    with own_engine.client() as client:
        process = _stopping(proxy, start, git, "2s")
        began = time.monotonic()
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0
        assert time.monotonic() - began < 10
        assert "web:1" not in [one["Image"] for one in client.containers()], "the step was finished"
        _applied(start, tmp_path)
        assert [one["Image"] for one in client.containers(all=True)] == ["web:2"]


def test_f06_a_second_signal(own_engine: PrivateEngine, proxy: FaultProxy, start: Start, git: Path, tmp_path: Path) -> None:
    _applied(start, tmp_path)
    with own_engine.client() as client:
        process = _stopping(proxy, start, git, "1m")
        process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        began = time.monotonic()
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 128 + signal.SIGTERM
        assert time.monotonic() - began < 1
        client.kill("shop-web-1")
        _applied(start, tmp_path)
        assert [one["Image"] for one in client.containers(all=True)] == ["web:2"]


@pytest.mark.parametrize("change", [*(pytest.param(number, marks=pytest.mark.long) for number in (1, 2, 4, 5, 6)), 3])
def test_f07_out_of_memory(change: int, proxy: FaultProxy, start: Start, git: Path, tmp_path: Path, reside: Reside) -> None:
    """The kernel kills us, and nobody else, at the nth change of an update."""
    write(git, service("web"))
    _applied(start, tmp_path)
    write(git, service("web", "web:2"))
    with _memory_group(f"faults-{os.getpid()}-{change}") as group:
        proxy.rules = [(nth(change), Drop("before", lambda: _hog(group)))]
        process = start("apply", engine=f"unix://{tmp_path}/proxy.sock", group=group)
        assert process.wait(DEADLINE_SECONDS) == -signal.SIGKILL, (tmp_path / "log").read_text()
    proxy.begin_anew()
    _applied(start, tmp_path)
    resident = reside()
    resident.settled()
    assert not any(report.outcomes for report in resident.told), "nothing is left to do"


LIMIT_BYTES, HOG_BYTES = 160 << 20, 130 << 20
"""Together with us the hog is too much; alone it is not."""


def _hog(group: Path) -> None:
    """Take the group's memory; return as soon as the kernel has made room for it."""
    hungry = (sys.executable, "-c", f"held = b'x' * {HOG_BYTES}; held.count(b'x')")
    subprocess.run((*_inside(group, -1000), *hungry), check=True, timeout=DEADLINE_SECONDS)


def _inside(group: Path, likely: int) -> tuple[str, ...]:
    """Return what runs a command in a cgroup; `likely` says how likely the kernel kills it there (-1000: never)."""
    return "sh", "-c", f'echo $$ > {group}/cgroup.procs; echo {likely} > /proc/self/oom_score_adj; exec "$@"', "sh"


@contextmanager
def _memory_group(name: str) -> Iterator[Path]:
    """Make a cgroup of either version that may hold LIMIT_BYTES."""
    root = Path("/sys/fs/cgroup")
    first = root / "memory"
    group = (first if first.is_dir() else root) / name
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if first.is_dir() else "memory.max")).write_text(str(LIMIT_BYTES))
        yield group
    finally:
        until(lambda: _removed(group), "its memory is given back")


def _removed(group: Path) -> bool:
    with suppress(OSError):
        group.rmdir()
    return not group.exists()
