"""Who had what done, and has anybody touched the record of it? `reconciler audit show` and `reconciler audit verify`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.audit import Line, Verdict, document, lines, verify
from reconciler.cli import FAILED
from reconciler.cli.place import configure_state, place_of
from reconciler.cli.printing import columns, say
from reconciler.cli.suspend import shown
from reconciler.cli.times import moment, stamp
from reconciler.errors import UsageError
from reconciler.load.text import printable
from reconciler.model.audit import Entry, Kind, Piece, Result, Trail

if TYPE_CHECKING:
    from reconciler.ports import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add = parser.add_argument
    add("what", choices=("show", "verify"), help="print lines, or check that nobody changed any")
    what = "show: only these stacks or services; verify: copies of the log's files"
    add("words", nargs="*", default=[], metavar="STACK|FILE", help=what)
    add(
        "--since", metavar="TIME", help="show what was done since: 2026-11-23T12:00, 12:00 (UTC), or 90m for ninety minutes ago"
    )
    add("-n", "--number", type=int, default=20, metavar="N", help="show so many lines at most (default: %(default)s)")
    add("--json", action="store_true", help="for programs; show: one line of the log a line")
    configure_state(parser)


def run(args: argparse.Namespace) -> int:
    """Read the log, or check it. Asks neither Git nor the engine. Returns 1 when `verify` finds something."""
    place = place_of(args)
    if args.what == "verify":
        trail = _copies(args.words) if args.words else place.store().trail()
        verdict = verify(trail)
        say(_verdict_data(verdict) if args.json else "".join(f"{line}\n" for line in told(verdict, trail)))
        return FAILED if verdict.findings else 0
    since = moment(args.since, place.clock().now()) if args.since else None
    found = chosen(place.store(), args.words, since)[: max(0, args.number)]
    say("".join(_json(document(line)) for line in found) if args.json else listed(found))
    return 0


# --- show ------------------------------------------------------------------------------------------------------------


def chosen(store: Store, targets: Iterable[str] = (), since: datetime | None = None) -> list[Line]:
    """Return the lines about any of these stacks or services, newest first; all of them where none is named."""
    targets = tuple(targets)
    found = [line for line in lines(store.trail()) if since is None or line.entry.at >= since]
    return [line for line in reversed(found) if not targets or any(_is_about(line.entry, target) for target in targets)]


def listed(found: Iterable[Line]) -> str:
    """Return lines as people read them, what is long beneath each."""
    found = list(found)
    if not found:
        return "nothing of that kind was written down\n"
    rows = columns(_row(line) for line in found)
    return "".join(f"{row}\n{_details(line.entry)}" for row, line in zip(rows, found, strict=True))


def _is_about(entry: Entry, target: str) -> bool:
    """What is said of everything is said of each stack; a note of the log is about whatever it tells of."""
    names = (entry.target, *entry.actions)
    return entry.kind is Kind.NOTE or entry.target == "*" or any(f"{name}/".startswith(f"{target}/") for name in names)


def _row(line: Line) -> tuple[str, ...]:
    entry = line.entry
    what = f"{entry.what} {shown(entry.target)}" if entry.kind is Kind.WORD else entry.what
    outcome = f"{entry.kind}" if entry.outcome is Result.OPEN else f"{entry.kind} {entry.outcome}"
    for_what = f"for {entry.revision[:7]}" if entry.revision else ""
    cells = (str(line.number), stamp(entry.at), outcome, what, entry.by.partition(" <")[0], for_what, entry.woke, entry.text)
    return tuple(map(printable, cells))


def _details(entry: Entry) -> str:
    told = [*entry.reasons, *entry.actions, *([f"error: {entry.error}"] if entry.error else [])]
    return "".join(f"    {printable(one)}\n" for one in told)


# --- verify ----------------------------------------------------------------------------------------------------------


def told(verdict: Verdict, trail: Trail) -> Iterator[str]:
    """Yield what was found as people read it."""
    yield from (f"{one.place}: {one.message}" for one in verdict.findings)
    if verdict.torn:
        yield "note: a line was being written when its process ended; the next one will tell of it"
    if trail.head is None and verdict.count:
        yield f"note: whether lines before {verdict.first} or after {verdict.last} are missing, these files cannot tell"
    span = f"{verdict.count} lines, {verdict.first} to {verdict.last}" if verdict.count else "no lines"
    yield f"{span}: {f'{len(verdict.findings)} wrong' if verdict.findings else 'as they were written'}"


def _verdict_data(verdict: Verdict) -> str:
    findings = [{"place": one.place, "message": one.message} for one in verdict.findings]
    whole = not verdict.findings
    return _json({"whole": whole, "lines": verdict.count, "first": verdict.first, "last": verdict.last, "findings": findings})


def _copies(names: Iterable[str]) -> Trail:
    """Read copies of the log's files, in the order they are named. Raises UsageError for one that cannot be read."""
    try:
        return Trail(tuple(Piece(name, Path(name).read_bytes()) for name in names))
    except OSError as error:
        raise UsageError(
            f"{error.filename} cannot be read: {error.strerror}", hint="name files of the log's directory"
        ) from error


def _json(data: object) -> str:
    return json.dumps(data) + "\n"
