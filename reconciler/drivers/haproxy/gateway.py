"""What does an HAProxy do, and how is it told to do otherwise?"""

from __future__ import annotations

from typing import assert_never

from reconciler.drivers.haproxy import statistics
from reconciler.drivers.haproxy.console import Console
from reconciler.drivers.haproxy.loading import load, stage
from reconciler.drivers.haproxy.render import digest_in, server_words
from reconciler.drivers.haproxy.statistics import Worker
from reconciler.errors import Conflict, Refused, Unreachable
from reconciler.model.plan import AddServer, DrainServer, LoadGateway, RemoveServer, StageGateway, TrafficChange, WeighServer
from reconciler.model.traffic import CONFIG, HEAVIEST, Admission, ObservedGateway, ObservedServer, is_name
from reconciler.ports import Clock, Inside

STARTING_SECONDS = 20.0
CLOSING_SECONDS = 5.0
CONNECTING_SECONDS = 2.5
"""A bit longer than the config lets HAProxy try to connect to one server before it tries another."""


class HaproxyGateway:
    """HAProxy 2.6 or newer in a container as model/gateway_container.py has it, spoken to through its unix sockets."""

    def __init__(self, inside: Inside, clock: Clock) -> None:
        self._inside = inside
        self._clock = clock

    def observe(self, container: str) -> ObservedGateway:
        """Return what the gateway in this container (an id) does. Raises Unreachable when it does not answer."""
        console = Console(self._inside, self._clock, container)
        worker = console.worker()
        return ObservedGateway(
            container=container,
            running=worker.description,
            written=digest_in((console.read(CONFIG) or b"").decode(errors="replace")),
            version=worker.version,
            listeners=worker.listeners,
            totals=worker.totals,
            servers=statistics.merged(worker.servers, console.older_servers(worker)),
        )

    def do(self, change: TrafficChange) -> None:
        """Make one change; doing it twice changes nothing. A gateway that was just started is waited for.

        Raises Refused with HAProxy's reason, Conflict when it does not know the backend or server, Unreachable.
        """
        console = Console(self._inside, self._clock, change.gateway.id or self._inside.id(change.gateway.name))
        worker = console.until(console.started, STARTING_SECONDS) or console.started()
        match change:
            case LoadGateway(_, config):
                load(console, worker, config)
            case StageGateway(_, config):
                stage(console, worker, config)
            case AddServer():
                _add(console, worker, change)
            case WeighServer(_, backend, server, weight):
                _weigh(console, worker, _at(backend, server), weight)
            case DrainServer(_, backend, server):
                _drain(console, worker, _at(backend, server))
            case RemoveServer(_, backend, server):
                _remove(console, worker, _at(backend, server))
            case _:
                assert_never(change)


def _at(backend: str, server: str) -> str:
    """Return how the gateway calls a server. Raises Refused for names that could be more than names."""
    for name in (backend, server):
        if not is_name(name):
            raise Refused(f"{name!r} cannot be a name in the gateway: it may have letters, digits and `_.:-`")
    return f"{backend}/{server}"


def _add(console: Console, worker: Worker, change: AddServer) -> None:
    """Until its first checks are done a server counts as up, so it is called down first."""
    backend, at = change.backend, _at(change.backend.name, change.server)
    known = _known(worker, at)
    if known and (known.address, known.port) != (change.address, backend.port):
        raise Conflict(f"the gateway knows {at} under {known.address}:{known.port}, not {change.address}:{backend.port}")
    if not known:
        words = server_words(backend, change.server, change.address, backend.port, weight=0)
        said = console.current(f"add server {backend.name}/{words}").strip()
        if said != "New server registered.":
            _require_silence(said, at)
    if not known or known.admission is Admission.MAINT:
        _begin_checks(console, at)


def _begin_checks(console: Console, at: str) -> None:
    _require_silence(console.current(f"enable health {at};set server {at} state ready;set server {at} health down"), at)


def _weigh(console: Console, worker: Worker, at: str, weight: int) -> None:
    """Older workers follow as well: clients that stay connected send them what is new."""
    if not 0 <= weight <= HEAVIEST:
        raise Refused(f"the weight of {at} is to be {weight}, but weights go from 0 to {HEAVIEST}")
    known = _known(worker, at)
    if known and known.admission is Admission.MAINT:
        _begin_checks(console, at)
    _require_silence(console.current(f"set weight {at} {weight};set server {at} state ready"), at)
    for say in console.elders(worker):
        say(f"set weight {at} {weight}")


def _drain(console: Console, worker: Worker, at: str) -> None:
    line = f"set server {at} state drain"
    if _known(worker, at):
        _require_silence(console.current(line), at)
    elif not any((one.backend, one.name) == tuple(at.split("/")) for one in console.older_servers(worker)):
        raise Conflict(f"the gateway does not know {at}")
    for say in console.elders(worker):
        say(line)


def _remove(console: Console, worker: Worker, at: str) -> None:
    """A server can be removed once nothing is attached to it, so what is left is closed.

    What only tries to connect goes elsewhere by itself, if it is given the time: nobody answers for a server that crashed.
    """
    for say in console.elders(worker):
        say(f"set server {at} state maint;shutdown sessions server {at}")
    if not _known(worker, at):
        return
    _require_silence(console.current(f"set server {at} state maint"), at)

    def is_gone() -> bool:
        said = console.current(f"del server {at}").strip()
        if "connections" in said:
            return False
        _require_gone(said, at)
        return True

    def is_closed() -> bool:
        console.current(f"shutdown sessions server {at}")
        return is_gone()

    if not console.until(is_gone, CONNECTING_SECONDS) and not console.until(is_closed, CLOSING_SECONDS):
        raise Unreachable(f"{at} cannot be removed from the gateway yet: something is still attached to it")


def _require_gone(said: str, at: str) -> None:
    if said not in ("Server deleted.", "No such server."):
        _require_silence(said, at)


def _known(worker: Worker, at: str) -> ObservedServer | None:
    return next((one for one in worker.servers if f"{one.backend}/{one.name}" == at), None)


def _require_silence(said: str, at: str) -> None:
    """A command that was carried out is answered by nothing."""
    words = " ".join(said.split())
    if "No such server" in words or "No such backend" in words:
        raise Conflict(f"the gateway does not know {at}")
    if words:
        raise Refused(f"the gateway refuses to change {at}: {words}")
