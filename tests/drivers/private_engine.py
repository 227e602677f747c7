"""Where is there an engine that a test may kill, freeze and fill up, because nobody else uses it?"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import docker
from docker.errors import DockerException
from waiting import until
from worlds import small_root

DEADLINE_SECONDS = 30.0
DISK_BYTES = 192 << 20
CGROUPS = Path("/sys/fs/cgroup")


class NoPrivateEngine(Exception):
    """This machine does not let us have an engine of our own; the message says why."""


@dataclass
class PrivateEngine:
    """An engine below a directory of its own, on a small disk of its own, with networks of its own.

    It publishes ports without firewall rules, so it leaves those of the machine's own engine alone.
    """

    directory: Path
    bridge: str
    subnet: str
    """The first two numbers of every address of its networks."""

    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def socket(self) -> Path:
        return self.directory / "engine.sock"

    @property
    def disk(self) -> Path:
        """Where it keeps everything: a file system of DISK_BYTES."""
        return self.directory / "disk"

    def client(self) -> docker.APIClient:
        """Return a client for the hands of a person."""
        return docker.APIClient(self.url, version="1.41", timeout=30)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        # It ends with the process that started it, whatever becomes of that.
        command = ["setpriv", "--pdeathsig", "TERM", "dockerd", *self._options()]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        until(lambda: self.answers() or self._ended(), "it answers")
        if self._ended():
            raise NoPrivateEngine(f"dockerd does not come up: {self._last_words()}")

    def answers(self) -> bool:
        # The SDK would leave a socket open for each time that nobody listens.
        with suppress(OSError), socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(1.0)
            asked.connect(str(self.socket))
            asked.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b"200 OK" in asked.recv(100)
        return False

    def stop(self) -> None:
        """End it as a service manager does: its containers end, too."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it: its containers run on."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Have it answer nothing any more, and hold every connection open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def import_image(self, reference: str, *changes: str) -> None:
        """Make a small image with a shell; `changes` are lines of a Dockerfile, such as `CMD ["sleep", "1d"]`."""
        with self.client() as client:
            repository, _, tag = reference.partition(":")
            client.import_image_from_data(small_root(), repository=repository, tag=tag, changes=list(changes))

    def remove_everything(self) -> None:
        """Leave nothing on it but its images."""
        with self.client() as client:
            for container in client.containers(all=True):
                client.remove_container(container["Id"], v=True, force=True)
            for network in client.networks(filters={"type": "custom"}):
                client.remove_network(network["Id"])
            for volume in client.volumes()["Volumes"] or ():
                client.remove_volume(volume["Name"], force=True)

    def discard(self) -> None:
        """End it and everything it started, and take back what it was given."""
        with suppress(DockerException, OSError):
            self.thaw()
            self.remove_everything()
        self.kill()
        self._kill_what_is_left()
        for link in _links_of(self.subnet):
            _run("ip", "link", "delete", link)
        for place in _mounted_below(self.directory):
            _run("umount", "--lazy", place)

    def _options(self) -> Iterator[str]:
        """No firewall rules; the cgroup and the directories lead to whatever it leaves behind."""
        yield from ("--host", self.url, "--data-root", str(self.disk / "data"), "--exec-root", str(self.directory / "exec"))
        yield from ("--pidfile", str(self.directory / "pid"), "--cgroup-parent", f"/{self.bridge}", "--shutdown-timeout", "2")
        yield from ("--bridge", self.bridge, "--iptables=false", "--ip-masq=false")
        # An engine that has address pools of its own and finds its networks again removes docker0, its neighbour's.
        if not (self.disk / "data/network").exists():
            yield from ("--default-address-pool", f"base={self.subnet}.128.0/17,size=24")

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(number)
        self._process.wait(DEADLINE_SECONDS)
        self._process = None
        # Its containerd dies with it, a moment later. Where nobody reaps it, the next dockerd takes it for one that lives.
        containerd = self.directory / "exec/containerd"
        until(lambda: not list(_started_with(containerd / "containerd.toml")), "containerd has ended")
        (containerd / "containerd.pid").unlink(missing_ok=True)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _last_words(self) -> str:
        lines = (self.directory / "log").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it says nothing"

    def _kill_what_is_left(self) -> None:
        """Its containers are known by their cgroup, its helpers by the directory on their command line."""
        groups = [*CGROUPS.glob(f"*/{self.bridge}"), *CGROUPS.glob(self.bridge)]
        until(lambda: not _killed({*_members(groups), *_started_with(self.directory / "exec")}), "what it started has ended")
        for group in groups:
            for below in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                below.rmdir()
            group.rmdir()


@contextmanager
def private_engine(directory: Path) -> Iterator[PrivateEngine]:
    """Start an engine below a directory; nothing is left of it after the block. Raises NoPrivateEngine with the reason."""
    if os.geteuid() != 0:
        raise NoPrivateEngine("only root may start an engine of its own")
    if missing := [program for program in ("dockerd", "ip", "mount", "setpriv") if not shutil.which(program)]:
        raise NoPrivateEngine(f"{missing[0]} is not installed")
    with ExitStack() as undone:
        engine = PrivateEngine(directory, *_bridge())
        undone.callback(engine.discard)
        engine.disk.mkdir(parents=True)
        if refusal := _run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "private-engine", str(engine.disk)):
            raise NoPrivateEngine(refusal)
        engine.start()
        yield engine


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Leave no space on the disk that a directory is on while the block runs."""
    filler = disk / "filler"
    try:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass
        yield
    finally:
        filler.unlink()


def _bridge() -> tuple[str, str]:
    """Make a bridge, which claims a range of addresses by its name: return both."""
    used = subprocess.run(("ip", "-o", "address"), capture_output=True, text=True, check=True).stdout
    refusal = ""
    for number in range(220, 255):
        name, subnet = f"faults{number}", f"10.{number}"
        if f" {subnet}." in used or (refusal := _run("ip", "link", "add", name, "type", "bridge")):
            continue
        if refusal := _run("ip", "address", "add", f"{subnet}.0.1/24", "dev", name):
            break
        return name, subnet
    raise NoPrivateEngine(refusal or "no range of addresses is free")


def _links_of(subnet: str) -> list[str]:
    """Return the bridges in this range of addresses."""
    lines = subprocess.run(("ip", "-o", "address"), capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split()[1] for line in lines if f" {subnet}." in line]


def _mounted_below(directory: Path) -> list[str]:
    """Return what is mounted below a directory, the innermost first."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [place for place in reversed(places) if Path(place).is_relative_to(directory)]


def _members(groups: list[Path]) -> Iterator[int]:
    for group in groups:
        for members in group.rglob("cgroup.procs"):
            with suppress(OSError):
                yield from map(int, members.read_text().split())


def _started_with(path: Path) -> Iterator[int]:
    """Yield the processes on whose command line this path stands, or one below it."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(path).encode() in (entry / "cmdline").read_bytes():
                yield int(entry.name)


def _run(*words: str) -> str:
    """Run a program; return what it complained of, "" when it did what it should."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stderr.strip() or str(done.returncode) if done.returncode else ""


def _killed(processes: set[int]) -> set[int]:
    """Kill processes, and return them: they are gone when nobody finds them any more."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return processes
