"""Every protocol the outside world implements; drivers/ holds the implementations, wiring.py chooses them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from reconciler.model import labels
from reconciler.model.holder import container_of, heir

if TYPE_CHECKING:
    # Only named here: what reads files alone should not wait for the models of plans.
    from reconciler.model.audit import Entry, Trail
    from reconciler.model.catalog import Entry as CatalogEntry
    from reconciler.model.catalog import Listing, Standing
    from reconciler.model.history import History
    from reconciler.model.observed import Neighbour, ObservedImage, ObservedState, Questions
    from reconciler.model.plan import EngineChange, TrafficChange
    from reconciler.model.source import Revision
    from reconciler.model.status import Turn
    from reconciler.model.traffic import ObservedGateway, Sample


class FileKind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    SUBMODULE = "submodule"


class Files(Protocol):
    """The files of one revision. Paths are POSIX, relative to its root, without `.`, `..` or a leading slash.

    The root itself is "". Implementations cache: asking twice costs nothing.
    """

    def kind(self, path: str) -> FileKind | None:
        """Say what stands at the path, or None. Never follows a symlink."""

    def read(self, path: str) -> bytes:
        """Return a file's content. Raises InvalidState for what is no file or larger than the driver's cap."""

    def children(self, path: str) -> tuple[str, ...]:
        """Return the names (not paths) in a directory, sorted; () for what is no directory."""

    def identity(self, path: str) -> str:
        """Return an id of the content at the path (file or whole directory); equal ids mean equal content."""

    def executable(self, path: str) -> bool:
        """Say whether the file's executable bit is set."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something the engine did: `kind` container, network, volume or image; `action` die, start, health_status: healthy, …"""

    kind: str
    action: str
    id: str
    name: str
    at: datetime
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answers:
    """What was asked with Questions, in the shapes of ObservedState."""

    images: Mapping[str, ObservedImage | None] = field(default_factory=dict)
    contents: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    neighbours: tuple[Neighbour, ...] | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may change this environment on this engine, until when (UTC).

    before  whose lease was taken over by the call that returns this one, "" where it was free or ours
    """

    holder: str
    expires: datetime
    generation: int
    before: str = field(default="", compare=False)

    @classmethod
    def read(cls, name: str, marks: Mapping[str, str]) -> Lease | None:
        """Read the volume that is a lease, its number behind the last dot of its name; None for what only looks like one."""
        number = name.rpartition(".")[2]
        try:
            expires = datetime.fromisoformat(marks[labels.EXPIRES])
        except (KeyError, ValueError):
            return None
        return cls(marks.get(labels.HOLDER, ""), expires, int(number)) if number.isdecimal() and expires.tzinfo else None

    def may_be_taken(self, holder: str, now: datetime, ttl_seconds: float) -> bool:
        """Say whether somebody may take it (it is over, or was passed on to them), or renew it (half of its time is over).

        One that lasts far longer than anybody ever takes it for was told by a clock that was set back since: it is over.
        """
        left = (self.expires - now).total_seconds()
        if left > 2 * ttl_seconds or self.holder == heir(container_of(holder)):
            return True
        return left < ttl_seconds / 2 if holder == self.holder else left <= 0


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line a container wrote. `stream` is stdout or stderr."""

    instance: str
    at: datetime | None
    stream: str
    text: str


class Commits(Protocol):
    """Past and present revisions, to read."""

    def files(self, revision: str) -> Files:
        """Return the files of a revision, read from where it is stored, without a checkout."""

    def revision(self, name: str) -> Revision:
        """Resolve a commit id, a branch or `HEAD~1`. Raises UsageError for what does not exist."""


class Source(Commits, Protocol):
    """Where revisions come from."""

    def fetch(self) -> Revision:
        """Return the newest revision; cheap when nothing moved.

        Raises Unreachable (remote down, time-out, refused credentials), Refused (branch gone or empty: never "no files").
        """

    def between(self, old: str, new: str) -> tuple[Revision, ...]:
        """Return the commits that lead from old (excluded) to new (included), newest first, at most 100."""

    def keep(self, revision: str, name: str) -> None:
        """Hold on to a revision under a name, whatever the remote does to its history."""

    def keep_only(self, revisions: Collection[str], name: str) -> None:
        """Hold on to each of these revisions that is here as `NAME-ID`, and let go of all others that were held so."""

    def changes(self, stop: threading.Event) -> Iterator[None]:
        """Yield when something changed, for sources that can tell; end at once for those that cannot."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """What is to stand at a path."""

    content: bytes = field(repr=False)
    executable: bool = False


Edits = Mapping[str, NewFile | None]
"""Path -> what is to stand there, None for what is to go."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Something settled that is to stand in Git, whoever else writes there meanwhile.

    id       of letters and digits; equal ids are one decision, which is committed at most once
    subject  of the commit, one line; `body` follows it, "" for none
    reason   why, in one line; "" when nobody said
    base     id of the revision it was taken on
    edit     what to write, made anew from the files of every head; {} when they say it already. A pure function: raises
             Conflict when a person's word has overtaken the decision, InvalidState when the result would be wrong
    """

    id: str
    subject: str
    base: str
    edit: Callable[[Files], Edits]
    body: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """Where a decision stands: in this commit of this branch; `commit` is "" where the files said it already."""

    branch: str
    commit: str = ""


class Writer(Protocol):
    """The one that commits to the repository: one decision after the other, never by force, never by merging text."""

    branch: str
    """The branch that is deployed."""

    def write(self, decision: Decision) -> Written:
        """Bring a decision to Git and return where it stands, confirmed by the remote.

        It is found again by its id, so asking again after a crash or an error commits nothing twice. Raises Refused when
        the remote takes no commit of ours, Conflict when others were always faster or the decision is overtaken,
        Unreachable when the remote did not answer (then it may have happened), InvalidState as `edit` does.
        """


class Depth(StrEnum):
    """How much a look at the engine asks it for.

    heard   what events told of since the last look; as `listed` where no stream of them is open, or it told nothing
    listed  one sparse list, and what differs there from the last look
    whole   everything
    """

    HEARD = "heard"
    LISTED = "listed"
    WHOLE = "whole"


class Runtime(Protocol):
    """The engine. Every method has a deadline and raises Unreachable past it; a write that ends so may have happened."""

    def observe(self, environment: str, adopted: Iterable[str] = (), *, depth: Depth = Depth.LISTED) -> ObservedState:
        """Return our containers: by owner label of the environment, or by Compose project for adopted ones.

        Networks and volumes are all of the engine's, ours or not: a foreign one with a wanted name is a conflict.
        However little is asked for, the snapshot is never older than what this runtime changed, or told of an event.
        """

    def answer(self, questions: Questions) -> Answers:
        """Look up what a plan asks beyond the snapshot."""

    def digests(self, references: Iterable[str]) -> Mapping[str, str]:
        """Ask the image registry which digest each reference names now; what cannot be answered is left out."""

    def do(self, change: EngineChange) -> None:
        """Make one change. Raises Conflict when the world moved, Unreachable, Refused with the engine's reason."""

    def events(self, stop: threading.Event) -> Iterator[Event]:
        """Yield events of ours until stopped. Raises Unreachable when the stream breaks: list again after it."""

    def logs(self, instance: str, *, follow: bool = False, tail: int | None = None) -> Iterator[LogLine]:
        """Yield what a container wrote, oldest first."""

    def own_container(self) -> str:
        """Return the id of the container of this engine in which this process runs, "" if in none."""

    def claim_lease(self, environment: str, holder: str, now: datetime, ttl_seconds: float) -> Lease:
        """Take or renew the lease if it is free, expired or ours; return the lease in force, whoever holds it."""

    def release_lease(self, environment: str, holder: str) -> None:
        """Give the lease back, if it is ours."""


class Gateway(Protocol):
    """What takes requests at ports of the host and passes them on to containers. Every method has a deadline."""

    def observe(self, container: str) -> ObservedGateway:
        """Return what the gateway in this container (an id) does. Raises Unreachable when it does not answer."""

    def do(self, change: TrafficChange) -> None:
        """Make one change. Doing it twice changes nothing.

        Raises Refused with the gateway's reason (a config that it does not take: then it goes on as it is), Conflict when it
        does not know the backend or server, Unreachable when it does not answer.
        """


class Inside(Protocol):
    """The way into a gateway's container: its volume of sockets and files (model/gateway_container.py), and its programs.

    Names are paths relative to the volume's root. Every method has a deadline and raises Unreachable past it.
    """

    def id(self, container: str) -> str:
        """Return the id of a container that is known by its name. Raises Conflict when there is none."""

    def tell(self, container: str, socket: str, line: str) -> str:
        """Say a line to a unix socket, and that there is no more; return all it answers.

        Raises Conflict when nobody listens there, Unreachable when who does is silent.
        """

    def read(self, container: str, name: str) -> bytes | None:
        """Return a file, None when there is none."""

    def write(self, container: str, name: str, content: bytes) -> None:
        """Put a file there, at once and whole, readable for its owner alone."""

    def run(self, container: str, command: tuple[str, ...]) -> tuple[int, str]:
        """Run a program in the container; return its exit code and what it wrote."""


class Catalog(Protocol):
    """The registry that is built in: told by the loop, asked by everybody, from any thread."""

    def publish(self, entries: Iterable[CatalogEntry], looked_at: float) -> None:
        """Replace what is known of our containers by what a look saw that began at this time (on the monotonic clock).

        What registered itself stays.
        """

    def leave(self, instance: str) -> None:
        """Take a container (by id) out of what may be used, until a look that begins later says otherwise."""

    def listing(self) -> Listing:
        """Return what is known. Raises Unreachable before anything was published."""

    def wait(self, index: int, seconds: float) -> Listing:
        """Return what is known as soon as its index differs from this one, or so many seconds are over."""

    def register(self, entry: CatalogEntry, ttl_seconds: float, forget_seconds: float = 0.0) -> None:
        """Enter what says of itself, within each `ttl_seconds`, how it is; else it is critical, and after
        `forget_seconds` (0: never) it is taken out. Raises Refused for an id of ours, and when there are too many.
        """

    def tell(self, id: str, standing: Standing, output: str = "") -> None:
        """Note how an entry that registered itself is. Raises Refused when it did not."""

    def deregister(self, id: str) -> None:
        """Take out what registered itself. Raises Refused when it did not."""


class Registry(Protocol):
    """A registry of services that somebody else runs. Raises Unreachable when it does not answer, Refused when it will not.

    address  what stands for this machine's own address in entries
    """

    address: str

    def entries(self, environment: str) -> tuple[CatalogEntry, ...]:
        """Return the entries of an environment of ours; nobody else's."""

    def register(self, entry: CatalogEntry) -> None:
        """Have the entry there, as it is now. Doing it twice changes nothing."""

    def deregister(self, id: str) -> None:
        """Have the entry gone; also when it is gone already."""


Registries = Callable[[str], Registry]
"""Return the registry at a URL. Raises Refused for one that the operator does not allow."""


class Store(Protocol):
    """The state directory: cache, memory and log. Losing it loses no container and no decision in Git."""

    def history(self) -> History:
        """Return what earlier turns learned; a fresh one, with a new key, where there is nothing yet."""

    def record(self, turn: Turn) -> None:
        """Keep a turn. One that did and found nothing new only replaces the last one of its kind: idling fills no disk.

        One that follows such a turn within ten seconds need not be kept at all.
        """

    def change(self, edit: Callable[[History], History]) -> History:
        """Replace the history by an edited one, in one transaction: a person's word is never lost to a turn, or a turn's to it.

        `edit` is a pure function and may be called more than once.
        """

    def turns(self, limit: int = 100) -> tuple[Turn, ...]:
        """Return the last turns, newest first; at least the last 100 that did something are kept."""

    def sample(self, samples: Iterable[Sample]) -> None:
        """Keep what the gateway had counted, of the last KEPT_SAMPLES, at most MOST_SAMPLES. Raises Unreachable."""

    def samples(self) -> tuple[Sample, ...]:
        """Return what is kept of that, oldest first."""

    def audit(self, entries: Iterable[Entry]) -> None:
        """Append to the audit log, all of them or none. Raises Unreachable; then they wait, and come before the next."""

    def trail(self) -> Trail:
        """Return the audit log as far as it is kept, and what is known of its end."""


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the time, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never jump."""

    def sleep(self, seconds: float) -> None:
        """Return after so long."""
