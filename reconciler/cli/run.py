"""Stay and keep it so: `reconciler run`."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.cli.leaving import interrupt, on_signals
from reconciler.cli.place import configure_place, place_of
from reconciler.errors import Unreachable

if TYPE_CHECKING:
    from reconciler.cli.journal import Journal
    from reconciler.loop import Reconciler
    from reconciler.ports import Clock
    from reconciler.resident import Pulse, Resident
    from reconciler.wiring import Workplace

CONNECT_SECONDS = 5.0
"""How long to wait for an engine that is not up yet before it is asked again."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_place(parser)
    parser.add_argument("--listen", metavar="HOST:PORT", help="serve /healthz and /readyz there (RECONCILER_LISTEN)")
    parser.add_argument("--once", action="store_true", help="make one turn and end")
    add = parser.add_argument
    add("--log-format", choices=("text", "json"), default="text", help="how each turn is told (default: text)")
    levels = ("info", "warning", "error")
    add("--log-level", choices=levels, default="info", help="tell what matters at least so much (default: info)")


def run(args: argparse.Namespace) -> int:
    """Turn until SIGTERM or SIGINT; the second of them ends at once. Returns 0, or with --once 1 for a turn that failed."""
    from reconciler.cli.journal import Journal, Level

    place = place_of(args)
    journal = Journal(sys.stderr, place.clock(), as_json=args.log_format == "json", least=Level(args.log_level))
    return _once(place, journal) if args.once else _stay(place, journal)


def _once(place: Workplace, journal: Journal) -> int:
    from reconciler.model.status import Operation
    from reconciler.resident import Pulse

    on_signals(interrupt, 1)
    report = _resident(place.reconciler(), journal, threading.Event(), Pulse()).once()
    return 0 if report and report.operation is Operation.SUCCEEDED and not report.error else 1


def _stay(place: Workplace, journal: Journal) -> int:
    from reconciler.resident import Pulse

    stop, clock = threading.Event(), place.clock()
    on_signals(stop.set, 0)
    pulse = Pulse(clock.monotonic())
    with _served(pulse, clock, place.settings.operator.listen):
        reconciler = _awaited(place, journal, stop, pulse)
        if reconciler is not None:
            resident = _resident(reconciler, journal, stop, pulse)
            on_signals(resident.end, 0)
            resident.run()
    return 0


def _awaited(place: Workplace, journal: Journal, stop: threading.Event, pulse: Pulse) -> Reconciler | None:
    """Return the loop's core once the engine answers: whoever starts a machine starts us beside it. None: told to end."""
    while not stop.is_set():
        pulse.beat = place.clock().monotonic()
        try:
            return place.reconciler()
        except Unreachable as silence:
            if str(silence) != pulse.trouble:
                journal.tell_trouble(silence)
                pulse.trouble = str(silence)
        stop.wait(CONNECT_SECONDS)
    return None


def _resident(reconciler: Reconciler, journal: Journal, stop: threading.Event, pulse: Pulse) -> Resident:
    from reconciler.claim import holder_name
    from reconciler.resident import Resident

    holder = holder_name(reconciler.world.runtime.own_container())
    return Resident(reconciler, journal.tell, holder, journal.tell_waiting, stop=stop, pulse=pulse)


@contextmanager
def _served(pulse: Pulse, clock: Clock, listen: str) -> Iterator[None]:
    """Serve the health pages meanwhile, if an address was named: also while an engine is waited for."""
    if not listen:
        yield
        return
    from reconciler.api.health import pages, serve

    server = serve(listen, pages(pulse, clock))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
