"""What becomes of a history on a real engine? The same steps, with images that behave as those in memory do."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import docker
from asked import ENVIRONMENT, Asked, Service, load_revision, repository
from docker.errors import APIError
from histories import History, Push, Say, Step
from quantities import bytes_of

from reconciler.apply import Applier
from reconciler.drivers.clock import SystemClock, VirtualClock
from reconciler.drivers.docker.connection import open_connection
from reconciler.drivers.docker.runtime import DockerRuntime
from reconciler.drivers.memory import Killed, MemoryStore, Repository
from reconciler.errors import Unreachable
from reconciler.loop import Reconciler
from reconciler.loop import World as Ports
from reconciler.model import labels
from reconciler.model.observed import Instance, ObservedState
from reconciler.model.plan import Change
from reconciler.model.status import Report
from reconciler.plan import render

BASE = "busybox:1.36"
PREFIX = "random"
FIRST_PORT = 40000
"""Added to a published port: the machine's own stay as they are."""

DEADLINE_SECONDS = 60.0
SETTLE_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 0.1

_RUNS = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
_HEALTHY = "HEALTHCHECK --interval=200ms --timeout=5s --retries=3 CMD true"
BEHAVIOURS: Mapping[str, tuple[str, ...]] = {
    "web": (f'CMD ["sh", "-c", "{_RUNS}"]', _HEALTHY),
    "task": ('CMD ["true"]',),
    "crash": ('CMD ["false"]',),
}


# --- the same history, under names that nobody else uses ---------------------------------------------------------------


def apart(history: History) -> History:
    """Return the history under names, images and ports of its own: an engine belongs to others, too."""
    return replace(history, steps=tuple(_step_apart(step) for step in history.steps))


def _step_apart(step: Step) -> Step:
    match step:
        case Push(asked):
            return Push(_asked_apart(asked))
        case Say(command):
            return Say(re.sub(r"\b(shop[-_]|blog[-_]|one\b|two\b|aside\b)", rf"{PREFIX}-\1", command))
        case _:
            return step


def _asked_apart(asked: Asked) -> Asked:
    return Asked(
        tuple(
            replace(
                stack,
                name=f"{PREFIX}-{stack.name}",
                needs=tuple(f"{PREFIX}-{need}" for need in stack.needs),
                services=tuple(_service_apart(service) for service in stack.services),
            )
            for stack in asked.stacks
        )
    )


def _service_apart(service: Service) -> Service:
    return replace(
        service,
        image=f"{PREFIX}/{service.image}",
        port=service.port and service.port + FIRST_PORT,
        container_name=service.container_name and f"{PREFIX}-{service.container_name}",
    )


# --- on the engine -----------------------------------------------------------------------------------------------------


class FaultyRuntime(DockerRuntime):
    """The engine, over a wire that fails where it was told to, as drivers/memory/fault.py does it."""

    def __init__(self) -> None:
        super().__init__(open_connection(None, DEADLINE_SECONDS), SystemClock())
        self.faults: dict[int, tuple[str, str]] = {}
        self.asked = 0

    def do(self, change: Change) -> None:
        self.asked += 1
        kind, when = self.faults.pop(self.asked, ("", "after"))
        if when == "after":
            super().do(change)
        if kind == "crash":
            raise Killed("killed")
        if kind == "fail":
            raise Unreachable("the engine did not answer within its deadline")


class EnginePlaying:
    """One reconciler on a real engine; a history is played on it step by step."""

    def __init__(self, engine: docker.APIClient) -> None:
        self.engine = engine
        self.runtime = FaultyRuntime()
        self.repository = Repository(VirtualClock())
        self.store = MemoryStore()
        self._reconciler: Reconciler | None = None
        self._files: dict[str, str] = {}

    def step(self, step: Step) -> str:
        """Play a step. Returns what is left to do where it should have come to rest, "" for nothing."""
        match step:
            case Push(asked):
                self._push(asked)
            case Say(command) if command.startswith("settle"):
                return self._settle()
            case Say(command) if command.startswith(("fail", "crash")):
                kind, nth, when = command.split()
                self.runtime.faults[self.runtime.asked + int(nth)] = kind, when
            case Say("restart" | "lose key" | "lose state" as command):
                {"restart": lambda: None, "lose key": self.store.lose_key, "lose state": self.store.lose}[command]()
                self._reconciler = None
            case Say(command):
                self._by_hand(*command.split())
            case _:
                raise AssertionError(f"no engine can be told {step}")
        return ""

    def _push(self, asked: Asked) -> None:
        files = repository(asked)
        gone = dict.fromkeys(self._files.keys() - files.keys())
        self._files = files
        self.repository.push({**{path: text.encode() for path, text in files.items()}, **gone}, "change")

    def _settle(self) -> str:
        deadline, pulse = time.monotonic() + SETTLE_SECONDS, threading.Event()
        report = None
        while time.monotonic() < deadline:
            report = self._turn()
            if report and report.plan and not (report.outcomes or report.plan.waiting or report.error):
                return ""
            pulse.wait(0 if report is None or report.outcomes else LOOK_AGAIN_SECONDS)
        return _left(report)

    def _turn(self) -> Report | None:
        reconciler = self._reconciler or self._started()
        try:
            reconciler.refresh()
            return reconciler.turn()
        except Killed:
            self._reconciler = None
            return None

    def _started(self) -> Reconciler:
        clock = SystemClock()
        ports = Ports(self.repository, load_revision, self.runtime, self.store, clock)
        self._reconciler = Reconciler(ports, Applier(self.runtime, clock, threads=False))
        return self._reconciler

    def _by_hand(self, hand: str, name: str, *more: str) -> None:
        """Do what a person does; what the engine refuses a person is no matter."""
        engine = self.engine
        limit = bytes_of(more[0].partition("=")[2]) if hand == "update" else 0
        with suppress(APIError):
            match hand:
                case "rm":
                    engine.remove_container(name, force=True, v=True)
                case "rename":
                    engine.rename(name, more[0])
                case "update":
                    engine.update_container(name, mem_limit=limit, memswap_limit=2 * limit)
                case "disconnect":
                    engine.disconnect_container_from_network(name, more[0])
                case _:
                    getattr(engine, hand)(name)


def _left(report: Report | None) -> str:
    """Say what a turn leaves to do."""
    if report is None:
        return "the reconciler is killed again and again"
    return render.text(report.plan, actions=True) if report.plan else report.error


def build_images(engine: docker.APIClient, references: Iterator[str]) -> None:
    """Make images that behave as those in memory, from a small one."""
    for reference in references:
        repository, _, tag = reference.partition(":")
        container = engine.create_container(BASE, ["true"])["Id"]
        changes = [*BEHAVIOURS[repository.rpartition("/")[2]], f"LABEL version={tag}"]
        engine.commit(container, repository, tag, changes="\n".join(changes))
        engine.remove_container(container)


# --- compared ----------------------------------------------------------------------------------------------------------


def state(observed: ObservedState) -> list[str]:
    """Return what is there of ours, in words that are the same for equal states on any engine."""
    names = {one.id: one.name for one in observed.instances}
    networks = [one.name for one in observed.networks if one.labels.get(labels.ENVIRONMENT) == ENVIRONMENT]
    volumes = [one.name for one in observed.volumes if one.labels.get(labels.ENVIRONMENT) == ENVIRONMENT]
    return sorted([*(_instance(one, names) for one in observed.instances), *networks, *volumes])


def _instance(instance: Instance, names: Mapping[str, str]) -> str:
    detail: Mapping[str, Any] = instance.detail
    host, config = detail["HostConfig"], detail["Config"]
    own = {key: value for key, value in instance.labels.items() if key.startswith((labels.OURS, labels.COMPOSE))}
    networks = sorted(detail["NetworkSettings"]["Networks"] or ())
    shared = names.get(str(host["NetworkMode"]).removeprefix("container:"), "")
    said = {
        "image": config["Image"],
        "mode": [entry for entry in config["Env"] or () if entry.startswith("MODE=")],
        "phase": instance.phase.value,
        "probe": instance.probe.value if instance.running else "",
        "exit": instance.exit_code if instance.ended else 0,
        "memory": host["Memory"],
        "restart": host["RestartPolicy"]["Name"] or "no",
        "networks": networks,
        "shares": shared,
        "ports": host["PortBindings"] or {},
        "mounts": sorted(mount["Destination"] for mount in detail["Mounts"] or ()),
        "labels": sorted(own.items()),
    }
    return f"{instance.name} {said}"
