"""Where is traffic changed under load: a service behind a gateway, a resident that looks after it, and clients?"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from answering import ANSWERS, HTTP, SLOW
from open_loop import Load, Running, loaded
from private_engine import PrivateEngine
from waiting import free_port, until

from benchmarks import bare
from benchmarks.places import OURS, Failed, Place
from benchmarks.repositories import IMAGE, in_environment
from reconciler.drivers.clock import SystemClock
from reconciler.drivers.docker import connect
from reconciler.drivers.haproxy import HaproxyGateway
from reconciler.model import labels
from reconciler.model.traffic import Admission, ObservedGateway

DEADLINE_SECONDS = 240.0
WARM_SECONDS = 3.0
"""Until the slow requests of the beginning are answered, as many are in flight as there will be."""

OLD, NEW = "local/haproxy:2.6", "local/haproxy:3"
SCRIPT = json.dumps(ANSWERS.replace("$", "$$"))
"""Compose takes two dollars for one."""


@dataclass(frozen=True, slots=True)
class Web:
    """The service that is asked, as Git has it.

    keys     further keys of the service, a line of YAML each
    command  what runs in the place of a server that answers
    """

    version: int = 1
    replicas: int = 2
    keys: tuple[str, ...] = ()
    command: str = f"[sh, -c, {SCRIPT}]"

    def written(self, name: str, *further: str) -> str:
        """Return it as a service of a Compose project, with further keys."""
        keys = "".join(f"    {line}\n" for line in (*self.keys, *further))
        alive = f"wget -q -O /dev/null http://127.0.0.1:{HTTP}/"
        return f"""  {name}:
    image: {IMAGE}
    command: {self.command}
    environment: {{WHO: "{name} {self.version}"}}
    labels: {{version: "{self.version}"}}
    restart: unless-stopped
    healthcheck: {{test: {alive}, interval: 1s, timeout: 10s}}
    stop_grace_period: 20s
    deploy: {{replicas: {self.replicas}}}
{keys}"""


def publishes(port: int) -> str:
    """Return the key that publishes what a container serves at a port of the host."""
    return f'ports: ["{port}:{HTTP}"]'


def answers(port: int) -> bool:
    """Say whether somebody answers a request at a port of this host."""
    with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return bool(answer.read())
    return False


@dataclass(slots=True)
class Scene:
    """One environment of ours, from nothing; everything in it is gone after `stage`."""

    place: Place
    private: PrivateEngine | None = None
    gateway: str = OLD
    port: int = field(default_factory=lambda: free_port(""))
    others: dict[str, int] = field(default_factory=dict)
    asked: Web = Web()
    crashed: list[str] = field(default_factory=list)
    engine: bare.Engine = field(init=False)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.connect()

    def connect(self) -> None:
        """Speak to the engine over new connections."""
        self.engine = bare.Engine(str(self.private.socket)) if self.private else bare.Engine()

    # --- what is asked for ---

    def ask(self, web: Web) -> None:
        """Write down what is wanted: the service, and the others that were named."""
        self.asked = web
        routed = f"x-route: {{port: {HTTP}, health: /}}"
        services = [web.written("web", publishes(self.port), routed)]
        others = self.others.items()
        services += [Web(replicas=1).written(name, publishes(port), "x-traffic: gateway") for name, port in others]
        self.place.write(in_environment(self.place.environment, "services:\n" + "".join(services)))

    def settle(self, web: Web) -> None:
        """Wait until the service is as it was asked for, under its final names, and serves."""
        names = [f"{self.place.environment}-app-web-{number}" for number in range(1, web.replicas + 1)]
        wanted = [(name, str(web.version)) for name in names]
        until(lambda: self.serving() == wanted, lambda: f"{self.serving()} is not {wanted}\n{self.told()}", DEADLINE_SECONDS)

    def answers(self) -> bool:
        """Say whether the service answers a request."""
        return answers(self.port)

    def change(self, web: Web) -> None:
        """Ask, and wait until it is so."""
        self.ask(web)
        self.settle(web)

    # --- what there is ---

    def serving(self) -> list[tuple[str, str]]:
        """Return name and version of each container of the service; behind the name of one that is not well, its state."""
        return sorted((_name_of(row), row["Labels"]["version"]) for row in self.containers())

    def containers(self, service: str = "web") -> list[Mapping[str, Any]]:
        """Return the rows of a service's containers, those that do not run included."""
        rows = self.engine.containers(f"{labels.ENVIRONMENT}={self.place.environment}")
        return [row for row in rows if row["Labels"].get(labels.SERVICE) == service]

    def runs(self, version: int) -> list[str]:
        """Return the ids of the containers of a version that run."""
        rows = self.containers()
        return [row["Id"] for row in rows if row["Labels"]["version"] == str(version) and row["State"] == "running"]

    def gateways(self) -> list[str]:
        """Return the ids of the gateway's containers that run."""
        return [row["Id"] for row in self.containers("gateway") if row["State"] == "running"]

    def seen(self) -> ObservedGateway:
        """Return what the gateway does. Raises Unreachable when it does not answer."""
        return HaproxyGateway(connect(f"unix://{self.engine.path}").inside(), SystemClock()).observe(self.gateways()[-1])

    def drains(self) -> bool:
        """Say whether a replica takes nothing new, and ends what it has."""
        return any(one.admission is Admission.DRAIN for one in self.seen().servers)

    def crash(self, replica: str) -> None:
        """Kill a replica, by the end of its name, and remember which."""
        (row,) = (one for one in self.containers() if one["Names"][0].endswith(replica))
        self.crashed.append(row["Id"])
        self.engine.ask("POST", f"/containers/{row['Id']}/kill")

    def lost_with_replicas(self) -> int:
        """Return how many requests went wrong at replicas that crashed, by the gateway's own log.

        It also tells of requests that it sent to somebody else then, which nobody noticed.
        """
        names = "|".join(id[:12] for id in self.crashed)
        # After the server and five times come status, bytes, cookies, and who ended it: the server's side, or
        # we ourselves with a server that was gone.
        cut = re.compile(rf"/(?:{names}) \S+ -?\d+ \d+ - - [SK]")
        return sum(bool(cut.search(line)) for line in self.log_of_gateway().splitlines())

    def log_of_gateway(self) -> str:
        """Return what the gateways wrote that run now: requests that went wrong, and words of their own."""
        words = ("docker", "--host", f"unix://{self.engine.path}", "logs")
        said = (subprocess.run((*words, one), capture_output=True, text=True) for one in self.gateways())
        return "".join(one.stdout + one.stderr for one in said)

    # --- who looks after it ---

    def begin(self, *words: str) -> None:
        """Start the resident."""
        with self._log.open("ab") as log:
            command = (*OURS, "run", str(self.place.repository), "--gateway-image", self.gateway, *words)
            self._process = subprocess.Popen(command, stderr=log, stdout=log, env=self.place.environ())

    def kill(self) -> None:
        """Kill it, as nobody can prevent."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def leave(self) -> None:
        """Let it end as a signal does."""
        if self._process:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def told(self) -> str:
        """Return what residents said."""
        return self._log.read_text(errors="replace")

    @property
    def _log(self) -> Path:
        return self.place.root / "resident.log"

    def clear(self) -> None:
        """Take away everything that it brought about."""
        self.kill()
        for mark in (labels.ENVIRONMENT, labels.LEASE):
            label = f"{mark}={self.place.environment}"
            with suppress(bare.Refused):
                bare.remove_labelled(self.engine, label)
            for volume in self.engine.ask("GET", "/volumes", filters={"label": [label]})["Volumes"] or ():
                self.engine.ask("DELETE", f"/volumes/{volume['Name']}")


def _name_of(row: Mapping[str, Any]) -> str:
    name = str(row["Names"][0].removeprefix("/"))
    return name if row["Status"].endswith("(healthy)") else f"{name}: {row['Status']}"


@contextmanager
def stage(place: Place, web: Web, *words: str, private: PrivateEngine | None = None) -> Iterator[Scene]:
    """Have a service that serves behind a gateway for the block; the words are further options of the resident."""
    place.root.mkdir(parents=True, exist_ok=True)
    scene = Scene(place, private)
    try:
        scene.ask(web)
        scene.begin(*words)
        scene.settle(web)
        until(scene.answers, lambda: f"nobody answers\n{scene.told()}", DEADLINE_SECONDS)
        yield scene
    except AssertionError as never:
        raise Failed(str(never)) from never
    finally:
        scene.clear()


@contextmanager
def clients(port: int, rate: float, requests: int) -> Iterator[Running]:
    """Have clients that ask at this rate for the block, which begins when they all do, and until they asked so often."""
    # Of the slow requests at least twenty are always in flight: they take two seconds each. Every
    # odd one is slow, so that both kinds of connections have their share.
    load = Load(port, rate=rate, slow=SLOW, slow_every=int(rate / 13) | 1)
    with loaded(load) as running:
        time.sleep(WARM_SECONDS)
        yield running
        ended = running.elapsed()
        until(lambda: running.begun >= requests and running.elapsed() > ended + WARM_SECONDS, "asked often enough", 600)


def during(running: Running, doing: Callable[[], object], what: str) -> tuple[float, float]:
    """Do something, noted down as a phase; return when it began and ended."""
    running.phase(what)
    began = running.elapsed()
    doing()
    running.phase(f"after {what}")
    return began, running.elapsed()
