"""Stay and keep it so: `reconciler run`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_place, place_of

if TYPE_CHECKING:
    from reconciler.resident import Resident

GRACE_SECONDS = 9.0
"""A call that hangs must not keep a service manager waiting: nothing is lost by leaving it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_place(parser)
    parser.add_argument("--listen", metavar="HOST:PORT", help="serve /healthz and /readyz there (RECONCILER_LISTEN)")
    parser.add_argument("--once", action="store_true", help="make one turn and end")
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="how each turn is told (default: text)")


def run(args: argparse.Namespace) -> int:
    """Turn until SIGTERM or SIGINT; the second of them ends at once."""
    from reconciler.cli.journal import Journal
    from reconciler.model.status import Operation
    from reconciler.resident import Resident

    place = place_of(args)
    journal = Journal(sys.stderr, as_json=args.log_format == "json")
    reconciler = place.reconciler()
    resident = Resident(reconciler, journal.tell, place.holder(), journal.tell_waiting)
    with _served(resident, place.settings.operator.listen):
        if args.once:
            report = resident.once()
            return 0 if report and report.operation is Operation.SUCCEEDED and not report.error else 1
        _obey_signals(resident)
        resident.run()
    return 0


@contextmanager
def _served(resident: Resident, listen: str) -> Iterator[None]:
    """Serve the health pages meanwhile, if an address was named."""
    if not listen:
        yield
        return
    from reconciler.api.health import pages, serve

    server = serve(listen, pages(resident.pulse, resident.reconciler.world.clock))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _obey_signals(resident: Resident) -> None:
    def obey(number: int, _frame: object) -> None:
        if resident.stop.is_set():
            os._exit(128 + number)
        resident.end()
        watch = threading.Timer(GRACE_SECONDS, os._exit, (0,))
        watch.daemon = True
        watch.start()

    signal.signal(signal.SIGTERM, obey)
    signal.signal(signal.SIGINT, obey)
