"""How many crash points does each contestant recover from, operation by operation, on a real engine?"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from contestants import PROJECT, Compose, Ours
from operations import BEHIND_THE_GATEWAY, OPERATIONS, Operation
from points import CLOCK, Contestant, Lane, Point, lane, play

ALL = OPERATIONS + BEHIND_THE_GATEWAY
MOST_CALLS = 200


@dataclass(frozen=True, slots=True)
class Column:
    """A contestant, and at which points it is killed."""

    title: str
    contestant: Callable[[Lane, Operation], Contestant]
    forgets: bool = False

    @property
    def is_ours(self) -> bool:
        return self.contestant is Ours

    def has(self, operation: Operation) -> bool:
        return operation.composes or self.is_ours


@dataclass(frozen=True, slots=True)
class Tally:
    """How many points there were, and what was wrong at those that were not recovered from."""

    points: int
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.points - len(self.wrong)}/{self.points}"


def main() -> int:
    """Print the table. Returns 1 when we do not recover from every point."""
    args = _arguments()
    columns = [column for column in _columns() if not args.columns or column.title in args.columns]
    operations = [one for one in ALL if not args.operations or one.name in args.operations]
    began = CLOCK.monotonic()
    cells = list(itertools.product(operations, columns))
    with _lanes(args.lanes) as lanes, ThreadPoolExecutor(args.lanes) as hands:
        tallies = dict(zip(cells, hands.map(lambda cell: _cell(lanes, *cell), cells), strict=True))
    _print_table(operations, columns, tallies)
    print(f"\n{CLOCK.monotonic() - began:.0f} s")
    lost = [tally for (_, column), tally in tallies.items() if tally and column.is_ours and tally.wrong]
    return 1 if lost else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make test-crash", description=__doc__)
    parser.add_argument("--operations", nargs="+", choices=[one.name for one in ALL], help="default: all")
    parser.add_argument("--columns", nargs="+", choices=[column.title for column in _columns()], help="default: all")
    parser.add_argument("--lanes", type=int, default=2, help="how many operations are tried side by side")
    return parser.parse_args()


def _columns() -> tuple[Column, ...]:
    found = subprocess.run((PROJECT / "tests/tools/get-docker-compose",), capture_output=True, text=True, check=True)
    compose = partial(Compose, found.stdout.strip())
    return Column("reconciler", Ours), Column("state lost", Ours, forgets=True), Column("docker compose", compose)


@contextmanager
def _lanes(count: int) -> Iterator[SimpleQueue[Lane]]:
    lanes: SimpleQueue[Lane] = SimpleQueue()
    with ExitStack() as stack:
        for number in range(count):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crash")))
            lanes.put(stack.enter_context(lane(f"crash{os.getpid()}-{number}", directory)))
        yield lanes


def _cell(lanes: SimpleQueue[Lane], operation: Operation, column: Column) -> Tally | None:
    """Try every point of an operation, saying at once what is wrong at one."""
    if not column.has(operation):
        return None
    place = lanes.get()
    title = f"{column.title}, {operation.name}"
    with closing(column.contestant(place, operation)) as contestant:
        usual = play(contestant, place, operation, None) or ()
        for one in usual:
            print(f"{title}, undisturbed: {one}", file=sys.stderr, flush=True)
        # Of others only what they do not leave behind in any case is for the crash to answer for.
        accepted = () if column.is_ours else usual
        points, wrong = 0, []
        for point in _points(column):
            complaints = play(contestant, place, operation, point)
            if complaints is None:
                break
            points += 1
            if found := [one for one in complaints if one not in accepted]:
                wrong.append(str(point))
                print(f"{title}, {point}: {'; '.join(found)}", file=sys.stderr, flush=True)
    lanes.put(place)
    tally = Tally(points, tuple(wrong))
    print(f"{title}: {tally}", file=sys.stderr, flush=True)
    return tally


def _points(column: Column) -> Iterator[Point]:
    for number in range(1, MOST_CALLS + 1):
        if not column.forgets:
            yield Point(number, "before")
        yield Point(number, "after", column.forgets)


def _print_table(
    operations: Sequence[Operation], columns: Sequence[Column], tallies: dict[tuple[Operation, Column], Tally | None]
) -> None:
    print(f"| operation | {' | '.join(column.title for column in columns)} |")
    print("|---|" + "---|" * len(columns))
    for operation in operations:
        said = (str(tallies[operation, column] or "—") for column in columns)
        print(f"| {operation.name} | {' | '.join(said)} |")
    sums = (_sum(tally for (_, at), tally in tallies.items() if at == column and tally) for column in columns)
    print(f"| **all** | {' | '.join(f'**{one}**' for one in sums)} |")


def _sum(tallies: Iterator[Tally]) -> Tally:
    known = list(tallies)
    return Tally(sum(one.points for one in known), tuple(wrong for one in known for wrong in one.wrong))


if __name__ == "__main__":
    sys.exit(main())
