"""Change what runs until it is as Git asks: `reconciler apply`."""

from __future__ import annotations

import argparse
import sys
import threading

from reconciler.cli.place import configure_place, place_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_place(parser)


def run(args: argparse.Namespace) -> int:
    """Turn until nothing is left to do. Returns 0, or 1 when something failed or is blocked."""
    from reconciler.apply import Applier
    from reconciler.loop import Reconciler, next_wake
    from reconciler.plan import render

    world = place_of(args).world()
    reconciler = Reconciler(world, Applier(world.runtime, world.clock))
    while True:
        reconciler.refresh()
        report = reconciler.turn("apply")
        if report.plan is None or report.error:
            sys.stderr.write(f"error: {report.error}\n")
            return 1
        if report.plan.actions or report.plan.blocked:
            sys.stdout.write(render.text(report.plan, actions=True))
        for outcome in report.outcomes:
            if outcome.error:
                sys.stderr.write(f"failed: {outcome.action}: {outcome.error}\n")
        if not report.plan.actions and not report.plan.waiting:
            return 1 if report.plan.blocked else 0
        if not report.plan.actions:
            threading.Event().wait(min(1.0, next_wake(report, 1.0, world.clock.now())))
