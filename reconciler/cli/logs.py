"""What did the containers of a service write? `reconciler logs`: all replicas, each line with its container's name."""

from __future__ import annotations

import argparse
import heapq
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import Empty, Queue
from typing import TYPE_CHECKING, TextIO

from reconciler.cli.place import configure_place, place_of
from reconciler.cli.printing import harmless, wants_colour
from reconciler.cli.sight import Lookout
from reconciler.cli.times import stamp
from reconciler.errors import ReconcilerError, Refused, UsageError

if TYPE_CHECKING:
    from reconciler.model.desired import DesiredState
    from reconciler.model.observed import Instance
    from reconciler.ports import LogLine, Runtime

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
MOST_WAITING = 1000
"""So many lines are held for a slow reader; then the engine has to wait."""
PAUSE_SECONDS = 0.5
COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add = parser.add_argument
    add("targets", nargs="+", metavar="STACK/SERVICE", help="whose; STACK alone means all of its services")
    configure_place(parser, source=False)
    add("-f", "--follow", action="store_true", help="stay, and print what comes, of new containers too")
    add("-n", "--tail", type=_count, metavar="N", help="only the last N lines of each container")
    add("-t", "--timestamps", action="store_true", help="with the time of each line")
    add("--no-prefix", action="store_true", help="without the names of the containers")


def run(args: argparse.Namespace) -> int:
    """Print the lines of all containers in order of time."""
    lookout = Lookout(place_of(args))
    crew = Crew.of(lookout, args.targets)
    members = crew.members()
    printer = Printer(sys.stdout, () if args.no_prefix else members.values(), timestamps=args.timestamps)
    if args.follow:
        _follow(crew, members, args.tail, printer)
    else:
        for line in lines(crew, members, args.tail):
            printer(line)
    return 0


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines")
    return int(text)


# --- whose logs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Crew:
    """The containers that are meant: of the named services, also of ones that Git no longer has."""

    runtime: Runtime
    desired: DesiredState
    targets: frozenset[str]

    @classmethod
    def of(cls, lookout: Lookout, targets: Collection[str]) -> Crew:
        """Find out which environment is meant. Raises what keeps from it."""
        desired, trouble = lookout.desired(lookout.store.history())
        if desired is None:
            raise trouble or Refused("there is no revision to learn the environment's name from")
        return cls(lookout.runtime(), desired, frozenset(targets))

    def members(self) -> dict[str, str]:
        """Return the containers' names by id, in order of their names. Raises UsageError when there are none."""
        found = {one.name: (one.id, service) for one, service in self._all()}
        chosen = {id: name for name, (id, service) in sorted(found.items()) if self.targets & _names(service, name)}
        if not chosen:
            known = ", ".join(sorted({service for _, service in found.values()})) or "none"
            raise UsageError(f"no container of {', '.join(sorted(self.targets))}", hint=f"services with containers: {known}")
        return chosen

    def _all(self) -> Iterator[tuple[Instance, str]]:
        from reconciler.plan.fleet import place_of as berth

        adopting = {project: stack.name for stack in self.desired.stacks for project in stack.adopt}
        environment = self.desired.environment.name
        for instance in self.runtime.observe(environment, sorted(adopting)).instances:
            if place := berth(instance, environment, adopting):
                yield instance, place.service_id


def _names(service: str, container: str) -> set[str]:
    return {service, service.partition("/")[0], container}


# --- their lines -----------------------------------------------------------------------------------------------------

Named = tuple[str, "LogLine"]
"""A container's name and a line of its log."""


def lines(crew: Crew, members: Mapping[str, str], tail: int | None) -> Iterator[Named]:
    """Yield what was written so far, in order of time."""

    def of(id: str, name: str) -> Iterator[Named]:
        return ((name, line) for line in crew.runtime.logs(id, tail=tail))

    yield from heapq.merge(*(of(id, name) for id, name in members.items()), key=lambda named: named[1].at or LONG_AGO)


@dataclass(slots=True)
class Follower:
    """Reads the log of every container in a thread of its own; one that comes to life again is read on from where it ended."""

    runtime: Runtime
    tail: int | None
    lines: Queue[Named] = field(default_factory=lambda: Queue(MOST_WAITING))
    _until: dict[str, datetime] = field(default_factory=dict)
    _read: set[str] = field(default_factory=set)

    def attend(self, members: Mapping[str, str]) -> None:
        """Read the logs of those that are not being read."""
        for id, name in members.items():
            if id not in self._read:
                self._read.add(id)
                threading.Thread(target=self._follow, args=(id, name), name=f"log of {name}", daemon=True).start()

    def _follow(self, id: str, name: str) -> None:
        tail, read_until = None if id in self._until else self.tail, self._until.get(id, LONG_AGO)
        try:
            for line in self.runtime.logs(id, follow=True, tail=tail):
                # What goes to stdout may come after what went to stderr later; only what was read in an earlier life is old.
                if line.at is None or line.at > read_until:
                    self._until[id] = max(line.at or LONG_AGO, self._until.get(id, LONG_AGO))
                    self.lines.put((name, line))
        except ReconcilerError:
            pass  # It is gone, or the engine is; who looks for new containers will be told.
        finally:
            self._until.setdefault(id, LONG_AGO)
            self._read.discard(id)


def _follow(crew: Crew, members: Mapping[str, str], tail: int | None, printer: Callable[[Named], None]) -> None:
    """Print lines as they come, until somebody interrupts; events tell of new containers."""
    from reconciler.wake import listening

    follower = Follower(crew.runtime, tail)
    follower.attend(members)
    with listening(crew.runtime) as bell:
        while True:
            try:
                printer(follower.lines.get(timeout=PAUSE_SECONDS))
            except Empty:
                follower.tail = None  # Who comes later is read from the start.
            if bell.wait(0):
                follower.attend(crew.members())


# --- on the screen ---------------------------------------------------------------------------------------------------


class Printer:
    """Prints lines under each other; on a terminal each container in its colour, and nothing that plays with the screen."""

    def __init__(self, out: TextIO, names: Iterable[str], *, timestamps: bool = False) -> None:
        """`names` are the containers' that are known by now; without any, no line says whose it is."""
        self._out = out
        self._timestamps = timestamps
        self._coloured = wants_colour(out)
        self._names = {name: number for number, name in enumerate(names)}
        self._width = max(map(len, self._names), default=0)

    def __call__(self, named: Named) -> None:
        name, line = named
        text = harmless(line.text) if self._out.isatty() else line.text
        time = f"{stamp(line.at)} " if self._timestamps and line.at else ""
        self._out.write(f"{self._before(name)}{time}{text}\n")
        self._out.flush()

    def _before(self, name: str) -> str:
        if not self._names:
            return ""
        number = self._names.setdefault(name, len(self._names))
        start = f"{name:<{self._width}} |"
        return f"\x1b[{COLOURS[number % len(COLOURS)]}m{start}\x1b[0m " if self._coloured else f"{start} "
