"""What was done when, and what ran at a time? `reconciler history`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from reconciler.cli.place import configure_state, place_of
from reconciler.cli.printing import columns, say
from reconciler.cli.status import stack_lines, turn_data
from reconciler.cli.times import age, length, moment, stamp
from reconciler.errors import Refused

if TYPE_CHECKING:
    from reconciler.model.status import Turn
    from reconciler.ports import Clock, Store

EVERYTHING = 1 << 30
LAST_TURNS = 50
"""More turns than that do not end while nobody looks."""
FOLLOW_SECONDS = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_state(parser)
    add = parser.add_argument
    add("-n", "--number", type=int, default=20, metavar="N", help="so many turns at most (default: %(default)s)")
    add("--all", action="store_true", help="also the turns that had nothing to do")
    add("--verbose", "-v", action="store_true", help="with the plan of each turn, and what failed")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("-f", "--follow", action="store_true", help="stay, and print turns as they end, the newest last")
    told = "what ran then: 2026-11-23T12:00 or 12:00 (UTC), or 90m for ninety minutes ago"
    instead.add_argument("--at", metavar="TIME", help=told)
    add("--json", action="store_true", help="for programs; with --follow one document a line")


def run(args: argparse.Namespace) -> int:
    """Print from the state directory alone: neither Git nor the engine is asked. Newest first."""
    place = place_of(args)
    if args.follow:
        follow(place.store(), place.clock(), args)
    turns, now = place.store().turns(EVERYTHING), place.clock().now()
    if args.at:
        then = at(turns, moment(args.at, now))
        say(_dumped(_then_data(then)) if args.json else "".join(f"{line}\n" for line in then_lines(then)))
        return 0
    chosen = [turn for turn in turns if args.all or is_news(turn)][: max(0, args.number)]
    say(_dumped([_whole(turn) for turn in chosen]) if args.json else listed(chosen, now, verbose=args.verbose))
    return 0


def follow(store: Store, clock: Clock, args: argparse.Namespace) -> NoReturn:
    """Print the last turns, and each new one as it ends, until somebody interrupts."""
    turns = store.turns(max(args.number, LAST_TURNS))
    news = [turn for turn in turns if args.all or is_news(turn)][: max(0, args.number)]
    while True:
        for turn in reversed(news):
            say(_line(_whole(turn)) if args.json else listed([turn], clock.now(), verbose=args.verbose))
        clock.sleep(FOLLOW_SECONDS)
        seen, turns = set(turns), store.turns(LAST_TURNS)
        news = [turn for turn in turns if turn not in seen and (args.all or is_news(turn))]


def is_news(turn: Turn) -> bool:
    """Say whether it did something or something went wrong."""
    return bool(turn.done or turn.failed or turn.error)


def listed(turns: Sequence[Turn], now: datetime, *, verbose: bool = False) -> str:
    """Return a line for each turn; `verbose` with everything that is known of it."""
    if not turns:
        return "nothing was done yet, as far as this state directory knows\n"
    rows = list(columns(_row(turn, now) for turn in turns))
    if not verbose:
        return "".join(f"{row}\n" for row in rows)
    return "\n".join(f"{row}\n{_details(turn)}" for row, turn in zip(rows, turns, strict=True))


def _row(turn: Turn, now: datetime) -> tuple[str, ...]:
    when = stamp(turn.finished), f"{age(turn.finished, now)} ago"
    seconds = f"in {length((turn.finished - turn.started).total_seconds())}"
    what = f'{turn.revision[:7]} "{turn.subject}"' if turn.revision else "no revision"
    said = f"error: {turn.error}" if turn.error else (turn.failed[0] if turn.failed else turn.summary)
    counts = ", ".join(f"{count} {word}" for count, word in ((turn.done, "done"), (len(turn.failed), "failed")) if count)
    return *when, turn.operation, counts, seconds, what, turn.author.partition(" <")[0], turn.woke, said


def _details(turn: Turn) -> str:
    lines = [*turn.plan.splitlines(), *(f"failed: {one}" for one in turn.failed)]
    lines += [f"error: {turn.error}"] if turn.error else []
    lines += [f"hint: {turn.hint}"] if turn.hint else []
    return "".join(f"    {line}\n" for line in lines)


# --- what ran then ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Then:
    """What is known of a point in time.

    last  the last turn that had ended by then
    seen  the turn whose look is the nearest to what ran then
    """

    at: datetime
    last: Turn
    seen: Turn


def at(turns: Sequence[Turn], time: datetime) -> Then:
    """Return what ran at a time, from turns newest first. Raises Refused when nothing that old is known.

    A turn looks before it acts: what it left behind is what the turn after it saw.
    """
    before = [turn for turn in turns if turn.finished <= time]
    if not before:
        known = f"the oldest turn it knows ended {stamp(turns[-1].finished)}" if turns else "it knows no turn"
        raise Refused(f"the history does not reach back to {stamp(time)}: {known}")
    last = before[0]
    after = turns[len(turns) - len(before) - 1] if len(before) < len(turns) else None
    looks = [after, *before] if last.done and after is not None else before
    return Then(time, last, next((turn for turn in looks if turn and turn.stacks), last))


def then_lines(then: Then) -> Iterator[str]:
    """Yield what ran then as people read it."""
    last = then.last
    author = f", {last.author}" if last.author else ""
    yield f"at {stamp(then.at)}"
    rows = [("newest revision", f'{last.revision[:7]} "{last.subject}"{author}'), ("applied whole", last.applied[:7] or "none")]
    rows.append(("last turn", f"{stamp(last.finished)}, woken by {last.woke}: {last.operation}"))
    rows.append(("as seen at", stamp(then.seen.finished)))
    yield from columns(rows, indent="  ")
    yield from stack_lines(then.seen.stacks, then.at)
    yield from (f"failed: {one}" for one in last.failed)
    if last.error:
        yield f"error: {last.error}"


def _then_data(then: Then) -> dict[str, Any]:
    stacks = [asdict(stack) for stack in then.seen.stacks]
    return {
        "at": then.at,
        "turn": turn_data(then.last),
        "seen_at": then.seen.finished,
        "stacks": stacks,
    }


def _whole(turn: Turn) -> dict[str, Any]:
    return {**turn_data(turn), "plan": turn.plan, "stacks": [asdict(stack) for stack in turn.stacks]}


def _line(document: object) -> str:
    return json.dumps(document, default=datetime.isoformat) + "\n"


def _dumped(document: object) -> str:
    return json.dumps(document, default=datetime.isoformat, indent=2, ensure_ascii=False) + "\n"
