"""Stay and keep it so: `reconciler run`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_place, place_of

if TYPE_CHECKING:
    from reconciler.model.status import Report
    from reconciler.resident import Resident


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_place(parser)
    parser.add_argument("--log-format", choices=("text", "json"), default="text")


def run(args: argparse.Namespace) -> int:
    """Turn until SIGTERM or SIGINT; the second of them ends at once."""
    from reconciler.apply import Applier
    from reconciler.loop import Reconciler
    from reconciler.resident import Resident, holder_name

    world = place_of(args).world()
    reconciler = Reconciler(world, Applier(world.runtime, world.clock))
    resident = Resident(reconciler, _teller(args.log_format), holder_name())
    _obey_signals(resident)
    resident.run()
    return 0


def _obey_signals(resident: Resident) -> None:
    def obey(number: int, _frame: object) -> None:
        if resident.stop.is_set():
            os._exit(128 + number)
        resident.stop.set()
        resident.bell.ring("signal")

    signal.signal(signal.SIGTERM, obey)
    signal.signal(signal.SIGINT, obey)


def _teller(form: str) -> Callable[[Report], None]:
    """Return what prints a turn that did or found something; one that repeats the last is silent."""
    from reconciler.record import condense

    last: list[tuple[object, ...]] = []

    def tell(report: Report) -> None:
        turn = condense(report)
        news = (turn.operation, turn.revision, turn.plan, turn.failed, turn.error)
        if last and last[0] == news:
            return
        last[:] = [news]
        if form == "json":
            line = {
                "at": turn.finished.isoformat(),
                "woke": turn.woke,
                "operation": turn.operation.value,
                "revision": turn.revision,
            }
            print(json.dumps({**line, "summary": turn.summary, "failed": turn.failed, "error": turn.error}), file=sys.stderr)
            return
        print(f"{turn.finished:%H:%M:%S} [{turn.woke}] {turn.summary or turn.operation.value}", file=sys.stderr)
        if report.plan and (report.plan.actions or report.plan.blocked):
            print(turn.plan, end="", file=sys.stderr)
        for problem in (*turn.failed, *([turn.error] if turn.error else [])):
            print(f"  failed: {problem}", file=sys.stderr)
        sys.stderr.flush()

    return tell
