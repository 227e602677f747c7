"""Stay and keep it so: `reconciler run`."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from reconciler.cli.leaving import interrupt, on_signals
from reconciler.cli.place import configure_place, place_of
from reconciler.errors import Unreachable

if TYPE_CHECKING:
    from reconciler.cli.journal import Journal
    from reconciler.loop import Reconciler
    from reconciler.ports import Catalog
    from reconciler.resident import Pulse, Resident
    from reconciler.wiring import Workplace

CONNECT_SECONDS = 5.0
"""How long to wait for an engine that is not up yet before it is asked again."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_place(parser)
    parser.add_argument("--listen", metavar="HOST:PORT", help="serve /healthz and /readyz there (RECONCILER_LISTEN)")
    _configure_registry(parser)
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


def _configure_registry(parser: argparse.ArgumentParser) -> None:
    """Add where the service registry answers."""
    add = parser.add_argument_group("service registry").add_argument
    add("--registry-http", metavar="HOST:PORT", help="answer clients of Consul there (RECONCILER_REGISTRY_HTTP)")
    add("--registry-sd", metavar="HOST:PORT", help="answer Prometheus there (RECONCILER_REGISTRY_SD)")
    add("--registry-dns", metavar="HOST:PORT", help="answer DNS queries there (RECONCILER_REGISTRY_DNS)")
    add("--registry-token-file", metavar="FILE", help="token with which programs may register themselves")
    add("--registry-node", metavar="NAME", help="what this machine is called (default: its host name)")
    add("--registry-address", metavar="IP", help="where others reach this machine (default: 127.0.0.1)")


def _once(place: Workplace, journal: Journal) -> int:
    from reconciler.model.status import Operation
    from reconciler.resident import Pulse

    on_signals(interrupt, 1)
    report = _resident(place.reconciler(writes=True), journal, threading.Event(), Pulse()).once()
    return 0 if report and report.operation is Operation.SUCCEEDED and not report.error else 1


def _stay(place: Workplace, journal: Journal) -> int:
    from reconciler.resident import Pulse

    stop, clock = threading.Event(), place.clock()
    on_signals(stop.set, 0)
    pulse = Pulse(clock.monotonic())
    catalog = place.catalog() if place.settings.operator.registry.served else None
    with _served(pulse, place, catalog):
        reconciler = _awaited(place, journal, stop, pulse, catalog)
        if reconciler is not None:
            resident = _resident(reconciler, journal, stop, pulse)
            on_signals(resident.end, 0)
            resident.run()
    return 0


def _awaited(
    place: Workplace, journal: Journal, stop: threading.Event, pulse: Pulse, catalog: Catalog | None
) -> Reconciler | None:
    """Return the loop's core once the engine answers: whoever starts a machine starts us beside it. None: told to end."""
    while not stop.is_set():
        pulse.beat = place.clock().monotonic()
        try:
            return place.reconciler(catalog=catalog, writes=True)
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
def _served(pulse: Pulse, place: Workplace, catalog: Catalog | None) -> Iterator[None]:
    """Answer meanwhile wherever an address was named: also while an engine is waited for."""
    operator = place.settings.operator
    with ExitStack() as served:
        if operator.listen:
            from reconciler.api.health import pages
            from reconciler.api.http import serving

            served.enter_context(serving(operator.listen, pages(pulse, place.clock())))
        if catalog is not None:
            from reconciler.api.faces import shown

            served.enter_context(shown(operator.registry, catalog, place.registry_token()))
        yield
