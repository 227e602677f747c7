"""What was done, by whose word, and can anybody have changed that since? Each line carries the SHA-256 of the line before.

The hash is of the line's bytes without the newline, so `sha256sum` can check it, too. Whoever may write the log may write
it anew from some line on: what shows that is the last line, which the state database and any copy elsewhere know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from reconciler.errors import ReconcilerError
from reconciler.model.audit import Entry, Head, Kind, Piece, Result, Trail
from reconciler.model.history import EVERYTHING
from reconciler.model.plan import Action, Plan
from reconciler.model.source import Revision
from reconciler.model.status import Outcome
from reconciler.plan.render import reason_text, verb_of
from reconciler.ports import Clock, Store

VERSION = 1
BEFORE_THE_FIRST = "0" * 64
LONGEST_TEXT, MOST_REASONS = 2000, 50
"""An engine may complain at any length; the log is bounded."""

_FIELDS = tuple(one.name for one in fields(Entry))


# --- what turns do ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Ledger:
    """Writes down what turns begin, and what comes of it. A log that cannot be written keeps nothing from being done.

    trouble  why the last entry could not be written, "" when it could
    """

    store: Store
    clock: Clock
    trouble: str = ""
    _begun: dict[str, tuple[Revision, str]] = field(default_factory=dict)

    def begin(self, plan: Plan, revision: Revision, woke: str) -> None:
        """Write down what a turn is about to do, before it does any of it."""
        self.trouble = ""
        if plan.actions:
            ids = tuple(action.id for action in plan.actions)
            self._begun.update(dict.fromkeys(ids, (revision, woke)))
            what = f"{len(ids)} action{'' if len(ids) == 1 else 's'}"
            said = Entry(self.clock.now(), Kind.BEGUN, what, by=revision.author, woke=woke, revision=revision.id, actions=ids)
            self._write([said])

    def end(self, ended: Iterable[tuple[Action, Outcome]]) -> None:
        """Write down what came of actions that were begun, in this turn or before it."""
        entries = [self._ended(action, outcome) for action, outcome in ended]
        if entries:
            self._write(entries)

    def lease(self, what: str, holder: str, text: str) -> None:
        """Write down that a holder's lease was taken over, or lost."""
        self._write([Entry(self.clock.now(), Kind.LEASE, what, EVERYTHING, text, by=holder)])

    def _ended(self, action: Action, outcome: Outcome) -> Entry:
        revision, woke = self._begun.pop(action.id)
        return Entry(
            at=self.clock.now(),
            kind=Kind.ACTION,
            what=action.id,
            target=action.group,
            text=verb_of(action.change),
            by=revision.author,
            woke=woke,
            revision=revision.id,
            reasons=tuple(map(reason_text, action.reasons)),
            outcome=Result.SKIPPED if outcome.skipped else Result.FAILED if outcome.error else Result.DONE,
            error=outcome.error,
        )

    def _write(self, entries: Iterable[Entry]) -> None:
        try:
            self.store.audit(entries)
        except ReconcilerError as problem:
            self.trouble = str(problem)


# --- lines -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A line that could be read."""

    number: int
    previous: str
    entry: Entry


def chained(entries: Iterable[Entry], number: int, previous: str) -> tuple[bytes, int, str]:
    """Return entries as lines that follow line `number` with hash `previous`, and number and hash of the last of them."""
    lines = []
    for entry in entries:
        number += 1
        line = _line(entry, number, previous)
        previous = digest(line)
        lines.append(line + b"\n")
    return b"".join(lines), number, previous


def digest(line: bytes) -> str:
    """Return the hash that the next line carries of this one."""
    return hashlib.sha256(line).hexdigest()


def document(line: Line) -> dict[str, Any]:
    """Return a line as data, as the file says it."""
    entry = {name: getattr(line.entry, name) for name in _FIELDS}
    return {"v": VERSION, "number": line.number, "previous": line.previous, **entry, "at": line.entry.at.isoformat()}


def read(line: bytes) -> Line | None:
    """Return what a line says, None for what is none of ours."""
    try:
        said = json.loads(line)
        number, previous = said.pop("number"), said.pop("previous")
        known = said.pop("v") == VERSION and isinstance(number, int) and isinstance(previous, str)
        return Line(number, previous, _entry(said)) if known else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def lines(trail: Trail) -> Iterator[Line]:
    """Yield every line that can be read, oldest first."""
    yield from (line for piece in trail.pieces for raw in piece.content.split(b"\n") if (line := read(raw)))


def _line(entry: Entry, number: int, previous: str) -> bytes:
    data = document(Line(number, previous, _bounded(entry)))
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode("ascii")


def _bounded(entry: Entry) -> Entry:
    reasons = tuple(map(_short, entry.reasons[:MOST_REASONS]))
    return replace(entry, text=_short(entry.text), reasons=reasons, error=_short(entry.error))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _entry(said: dict[str, Any]) -> Entry:
    told = {"at": datetime.fromisoformat(said["at"]), "kind": Kind(said["kind"]), "outcome": Result(said["outcome"])}
    return Entry(**{**said, **told, "reasons": tuple(said["reasons"]), "actions": tuple(said["actions"])})


# --- verifying -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written, and where: `0000000001.jsonl:17`."""

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a log.

    count        how many lines stand in it
    first, last  their numbers, 0 where there is none
    torn         its end was being written when somebody pulled the plug; no line that was finished is missing
    """

    findings: tuple[Finding, ...]
    count: int = 0
    first: int = 0
    last: int = 0
    torn: bool = False


@dataclass(frozen=True, slots=True)
class _Link:
    """A line as the next one must know it; `line` is None for one that cannot be read."""

    place: str
    number: int
    hash: str
    line: Line | None


def verify(trail: Trail) -> Verdict:
    """Find every line that was changed, removed, inserted or moved, as far as what is left can show it.

    Without a head nothing can be said about lines that are missing at either end.
    """
    links = tuple(_links(trail.pieces))
    fragment = _fragment(trail.pieces)
    torn = bool(fragment) and trail.head is not None and (links[-1].number if links else 0) >= trail.head.number
    findings = [*_broken(links), *_cut(links, trail.head)]
    if fragment and not torn:
        findings.append(Finding(fragment, "the last line is cut off in the middle"))
    numbers = (links[0].number, links[-1].number) if links else (0, 0)
    return Verdict(tuple(findings), len(links), *numbers, torn=torn)


def leads_on(pieces: Iterable[Piece], head: Head) -> bool:
    """Say whether the log goes on, unbroken, from the line that is known to its own end."""
    links = list(_links(pieces))
    known = next((index for index, link in enumerate(links) if link.hash == head.hash), None)
    return known is not None and not list(_broken(links[known:]))


def _links(pieces: Iterable[Piece]) -> Iterator[_Link]:
    number = 0
    for piece in pieces:
        for position, raw in enumerate(piece.content.split(b"\n")[:-1], 1):
            line = read(raw)
            number = line.number if line else number + 1
            yield _Link(f"{piece.name}:{position}", number, digest(raw), line)


def _fragment(pieces: Iterable[Piece]) -> str:
    """Return where the log ends in the middle of a line, "" where it does not."""
    last = list(pieces)[-1:]
    open_end = [piece for piece in last if piece.content and not piece.content.endswith(b"\n")]
    return "".join(f"{piece.name}:{piece.content.count(10) + 1}" for piece in open_end)


def _broken(links: Iterable[_Link]) -> Iterator[Finding]:
    before: _Link | None = None
    for link in links:
        if link.line is None:
            yield Finding(link.place, "is no line of an audit log")
        elif before is None:
            if link.number == 1 and link.line.previous != BEFORE_THE_FIRST:
                yield Finding(link.place, "line 1 was changed: it follows another")
        elif link.number != before.number + 1:
            yield Finding(link.place, _misplaced(before.number, link.number))
        elif before.line is not None and link.line.previous != before.hash:
            yield Finding(before.place, f"line {before.number} is not the one that line {link.number} was written after")
        before = link


def _misplaced(before: int, number: int) -> str:
    if number > before + 1:
        return f"line {number} follows line {before}: {_span(before + 1, number - 1)} between them"
    return f"line {number} follows line {before}: it was moved or put in"


def _cut(links: tuple[_Link, ...], head: Head | None) -> Iterator[Finding]:
    """What the head knows: where the log begins and how it ends."""
    if head is None:
        return
    if not links:
        yield Finding("the audit log", _span(head.first, head.number))
        return
    first, last = links[0], links[-1]
    if first.number > head.first:
        yield Finding(first.place, f"{_span(head.first, first.number - 1)} before it")
    if last.number < head.number:
        yield Finding(last.place, f"{_span(last.number + 1, head.number)} after it")
    elif head.hash not in {link.hash for link in links if link.number == head.number}:
        place = next((link.place for link in links if link.number == head.number), last.place)
        yield Finding(place, f"line {head.number} is not the one that the state database knows")


def _span(first: int, last: int) -> str:
    return f"line {first} is missing" if first == last else f"lines {first} to {last} are missing"
