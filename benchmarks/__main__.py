"""Run the benchmarks that are named, else all of them, and print the table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

from benchmarks import engine, pure, residents, table, town
from benchmarks.measure import Row

Benchmark = Callable[[int, float], Iterator[Row]]

BENCHMARKS: Mapping[str, Benchmark] = {
    "version": pure.version,
    "plan": pure.plan,
    "reload": pure.reload,
    "stacks": pure.stacks_at_once,
    "recorded": residents.recorded_turn,
    "cold": engine.cold_apply,
    "replicas": engine.replicas,
    "chain": engine.health_chain,
    "town": town.town,
}


def main() -> None:
    args = _arguments()
    rows = chain.from_iterable(BENCHMARKS[name](args.runs, args.size) for name in args.names or BENCHMARKS)
    for line in table.lines(rows):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--runs", type=int, default=5, help="how often each side takes its turn (default: 5)")
    parser.add_argument("--size", type=float, default=1.0, help="how large the worlds are, as a factor (default: 1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
