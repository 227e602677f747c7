"""Does a resident stay as it is while a real engine, a remote and people trouble it for hours?

    python tests/faults/soak.py --minutes 30

An engine of its own, a Git remote, the fault proxy between, and `reconciler run` as a process. Round after round
somebody pushes, somebody uses their hands, or something breaks; each time everything must be as Git asks again within
two minutes. At the end it prints what the process holds, turn by turn; the exit code is 1 where it grows, where a round
did not end well, or where anything of a neighbour was touched.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests/drivers")]

from docker.errors import APIError  # noqa: E402 - after the path to our own modules
from fault_proxy import Answer, Delay, Drop, FaultProxy, fault_proxy, nth  # noqa: E402
from git_remotes import Remote  # noqa: E402
from private_engine import PrivateEngine, private_engine  # noqa: E402
from residence import HEALTHY, RUNS  # noqa: E402
from slopes import Growth, sample  # noqa: E402

SETTLE_SECONDS = 120.0
LOOK_AGAIN_SECONDS = 0.5
LAST_LINES = 20
MOST_MEMORY, MOST_HANDLES = 2 << 20, 3.0
"""How much memory, and how many descriptors or threads, a process may gain in 1,000 turns.

Half an hour does not fill what is kept within bounds, such as the reasons that were said. Handles are counted while it
works: at some moment there are a few more or fewer. What is forgotten in every turn would make a thousand of them.
"""

SETTINGS = "api: v1\nname: soak\ninterval: 1s\nstacks: {shop: {path: shop}}\n"
NAMES = ("api", "db", "web")
MOST_REPLICAS = 4
"""So many of each service are there in the beginning, and never again."""


@dataclass(slots=True)
class Wanted:
    """What Git asks for: image and number of replicas of each service."""

    services: dict[str, tuple[str, int]]

    def files(self) -> dict[str, str]:
        lines = [
            f"  {name}: {{image: '{image}', restart: unless-stopped, stop_grace_period: 1s, deploy: {{replicas: {count}}}}}\n"
            for name, (image, count) in self.services.items()
        ]
        return {"reconciler.yaml": SETTINGS, "shop/compose.yaml": "name: shop\nservices:\n" + "".join(lines)}

    def containers(self) -> dict[str, str]:
        """Return the image of each container that must run, by name."""
        return {f"shop-{name}-{slot + 1}": image for name, (image, count) in self.services.items() for slot in range(count)}


@dataclass(slots=True)
class Soak:
    """Everything that is there, what was done to it, and what became of it."""

    engine: PrivateEngine
    proxy: FaultProxy
    remote: Remote
    process: subprocess.Popen[bytes]
    log: Path
    chance: random.Random
    wanted: Wanted
    foreign: Mapping[str, str]
    done: Counter[str] = field(default_factory=Counter)
    touched: set[str] = field(default_factory=set)
    unwell: int = 0
    """How many rounds did not end as Git asks; `missed` says what was seen then."""
    missed: list[str] = field(default_factory=list)
    turns: int = 0
    """How often the resident looked at its engine: once in a turn."""
    growth: Growth = field(default_factory=Growth)

    def rounds(self, minutes: float) -> None:
        """Let something happen again and again, for so long."""
        self._begin_wide()
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            (event,) = self.chance.choices(tuple(EVENTS), tuple(EVENTS.values()))
            name = event.__name__.strip("_")
            event(self)
            self.done[name] += 1
            self._rest(name)
            if self.process.poll() is not None:
                return
            self.growth.samples.append(sample(self.turns, self.process.pid))
            print(f"{sum(self.done.values()):5} {name:12} {self.growth.samples[-1]}", flush=True)

    def _begin_wide(self) -> None:
        """Have most come and go at once first: the widest moment decides how many threads and connections are kept."""
        self._rest("the start")
        for image in ("web:1", "web:2"):
            self.wanted = Wanted(dict.fromkeys(NAMES, (image, MOST_REPLICAS)))
            self.remote.commit(self.wanted.files(), "everything at once")
            self._rest("the widest moment")

    def _rest(self, after: str) -> None:
        """Wait until everything is as Git asks; look whether anything of a neighbour was touched meanwhile."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (found := self._containers()) != self.wanted.containers() and time.monotonic() < deadline:
            _pause(LOOK_AGAIN_SECONDS)
        if found != self.wanted.containers():
            self.unwell += 1
            self.missed += (f"after {after}: {found}, not {self.wanted.containers()}", *self._troubles())
        self.touched |= {call.target for call in self.proxy.changes if any(one in call.target for one in self.foreign)}
        self.touched |= {name for name, is_there in self._neighbours().items() if not is_there}
        self.turns += sum((call.method, call.path) == ("GET", "/networks") for call in self.proxy.calls)
        self.proxy.begin_anew()

    def _containers(self) -> dict[str, str]:
        """Return the image of each container of ours that is healthy, and the engine's words for those that are not."""
        with suppress(APIError, OSError), self.engine.client() as client:
            found = client.containers(all=True, filters={"label": "io.reconciler.environment=soak"})
            return {one["Names"][0][1:]: one["Image"] if "(healthy)" in one["Status"] else one["Status"] for one in found}
        return {}

    def _troubles(self) -> Iterator[str]:
        """Yield what the engine says of those that do not run, and what the resident said last."""
        with suppress(APIError, OSError), self.engine.client() as client:
            for one in client.containers(all=True, filters={"status": ["created", "exited", "dead", "removing"]}):
                yield f"  {one['Names'][0]}: {client.inspect_container(one['Id'])['State']}"
        yield from (f"  {line}" for line in self.log.read_text().splitlines()[-LAST_LINES:])

    def _neighbours(self) -> dict[str, bool]:
        """Say of everything that belongs to others whether it is still there."""
        with self.engine.client() as client:
            there = {one["Id"] for one in (*client.containers(), *client.networks())}
            there |= {one["Name"] for one in client.volumes()["Volumes"] or ()}
        return {name: id in there for id, name in self.foreign.items()}


# --- what happens ----------------------------------------------------------------------------------------------------


def push(soak: Soak) -> None:
    name = soak.chance.choice(NAMES)
    services = {**soak.wanted.services, name: (soak.chance.choice(("web:1", "web:2")), soak.chance.randint(1, 3))}
    soak.wanted = Wanted(services)
    soak.remote.commit(soak.wanted.files(), f"change {name}")


def push_many(soak: Soak) -> None:
    for _ in range(20):
        push(soak)


def bad_commit(soak: Soak) -> None:
    soak.remote.commit({"reconciler.yaml": "stacks: [\n"}, "a typo")
    _pause(3)
    soak.remote.commit(soak.wanted.files(), "the typo is gone")


def hand(soak: Soak) -> None:
    """A person does something to a container of ours."""
    name = soak.chance.choice(tuple(soak.wanted.containers()))
    with soak.engine.client() as client, suppress(APIError):
        act: Callable[[], object] = soak.chance.choice(
            (
                lambda: client.kill(name),
                lambda: client.pause(name),
                lambda: client.stop(name),
                lambda: client.remove_container(name, force=True),
                lambda: client.rename(name, f"{name}-aside"),
                lambda: client.update_container(name, mem_limit=64 << 20, memswap_limit=128 << 20),
                lambda: client.disconnect_container_from_network(name, "shop_default"),
            )
        )
        act()


def events_cut(soak: Soak) -> None:
    soak.proxy.cut("/events")


def lost_call(soak: Soak) -> None:
    """A call of the change that comes now is lost, refused or late."""
    effect = soak.chance.choice((Drop("before"), Drop("after"), Answer(409), Answer(500), Delay(1.0)))
    soak.proxy.rules = [(nth(soak.chance.randint(1, 4)), effect)]
    push(soak)


def remote_away(soak: Soak) -> None:
    away = soak.remote.path.with_name("away")
    soak.remote.path.rename(away)
    hand(soak)
    _pause(5)
    away.rename(soak.remote.path)


def frozen(soak: Soak) -> None:
    soak.engine.freeze()
    _pause(3)
    soak.engine.thaw()


def restarted(soak: Soak) -> None:
    soak.engine.restart()


def killed(soak: Soak) -> None:
    soak.engine.kill()
    _pause(1)
    soak.engine.start()


EVENTS: Mapping[Callable[[Soak], None], int] = {
    push: 30,
    hand: 40,
    lost_call: 15,
    events_cut: 6,
    push_many: 2,
    bad_commit: 3,
    remote_away: 3,
    frozen: 3,
    restarted: 2,
    killed: 1,
}
"""What may happen, and how often of about a hundred times."""


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


# --- what is there ---------------------------------------------------------------------------------------------------


@contextmanager
def a_soak(directory: Path, chance: random.Random) -> Iterator[Soak]:
    """Set everything up, and take it down again."""
    with ExitStack() as undone:
        engine = undone.enter_context(private_engine(directory / "engine"))
        for version in ("1", "2"):
            engine.import_image(f"web:{version}", RUNS, HEALTHY, f"LABEL version={version}")
        proxy = undone.enter_context(fault_proxy(directory / "proxy.sock", engine.socket))
        remote = Remote.make(directory / "git")
        wanted = Wanted({"web": ("web:1", 2)})
        remote.commit(wanted.files())
        log = directory / "log"
        process = undone.enter_context(_resident(directory, log))
        undone.callback(process.terminate)
        yield Soak(engine, proxy, remote, process, log, chance, wanted, _neighbours_of(engine))


def _resident(directory: Path, log: Path) -> subprocess.Popen[bytes]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = ("--engine", f"unix://{directory}/proxy.sock", "--state", str(directory / "state"))
    words = ("run", str(directory / "git"), *place, "--listen", f"127.0.0.1:{port}", "--log-format", "json")
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "PYTHONPATH": str(PROJECT)}
    with log.open("wb") as written:
        return subprocess.Popen((sys.executable, "-m", "reconciler", *words), env=environment, stderr=written)


def _neighbours_of(engine: PrivateEngine) -> Mapping[str, str]:
    """Make what belongs to others: a container of another environment, a network, a volume. Returns names by id."""
    with engine.client() as client:
        about: dict[str, Any] = {"labels": {"io.reconciler.environment": "other"}}
        host = client.create_host_config(restart_policy={"Name": "always"})
        container = client.create_container("web:1", name="neighbour", host_config=host, **about)["Id"]
        client.start(container)
        network = client.create_network("theirs")["Id"]
        client.create_volume("treasure")
    return {container: "neighbour", network: "theirs", "treasure": "treasure"}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as place, a_soak(Path(place), random.Random(args.seed)) as soak:
        soak.rounds(args.minutes)
        died = soak.process.poll() is not None
        log = soak.log.read_text().splitlines()
    growth = soak.growth
    print(f"{args.minutes:g} minutes, {growth.samples[-1].turns} turns, {sum(soak.done.values())} rounds:")
    print(", ".join(f"{count} {name}" for name, count in soak.done.most_common()))
    print(growth.table())
    print(f"foreign objects touched: {len(soak.touched)}", *soak.touched)
    print(f"rounds that did not end well: {soak.unwell}", *soak.missed, sep="\n")
    if died or soak.missed:
        print("it ended by itself, and said:" if died else "it said last:", *log[-LAST_LINES:], sep="\n")
    grows = growth.memory_bytes > MOST_MEMORY or max(growth.descriptors, growth.threads) > MOST_HANDLES
    return int(died or grows or bool(soak.touched or soak.missed))


if __name__ == "__main__":
    sys.exit(main())
