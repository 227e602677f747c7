"""Which containers does the gateway send to, and with which weight?"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.observed import Instance, Probe
from reconciler.model.plan import Action, AddServer, ConnectNetwork, DrainServer, RemoveServer, StartInstance, Verb, WeighServer
from reconciler.model.traffic import Admission, Backend, Check, ObservedGateway, ObservedServer, server_name
from reconciler.plan.draft import Draft
from reconciler.plan.reasons import facts
from reconciler.plan.traffic.listening import GROUP as LISTENERS
from reconciler.plan.traffic.listening import LOAD, holding
from reconciler.plan.traffic.names import FULL, GLANCE, address_of, backends, target_of_gateway
from reconciler.plan.traffic.staged import shares, under_way
from reconciler.plan.view import ServiceView, World

TRAFFIC = "/traffic"
"""What the group of a service's servers is called after its id. Those that go before a stop belong to the service's own."""


def serves(world: World, view: ServiceView, instance: Instance) -> bool:
    """Say whether requests reach a container; of one that the gateway has nothing to do with it is said that they do."""
    return all(_takes_part(_known(world, backend, instance)) for backend in backends(view.service))


def _takes_part(server: ObservedServer | None) -> bool:
    return server is not None and server.check is Check.UP and server.admission is Admission.READY and server.weight > 0


def is_down(world: World, view: ServiceView, instance: Instance) -> bool:
    """Say whether the gateway looked for a container and did not find it well."""
    known = (_known(world, backend, instance) for backend in backends(view.service))
    return any(server is not None and server.check is Check.DOWN for server in known)


def why_not(world: World, view: ServiceView, instance: Instance) -> str:
    """Say what keeps requests from a container, in words; "" when they reach it."""
    if not view.service.entrusted:
        return ""
    if world.observed.gateway is None:
        return "the gateway answers"
    for backend in backends(view.service):
        server = _known(world, backend, instance)
        if server is None or server.check is not Check.UP:
            said = f" ({server.said})" if server and server.said and server.check is Check.DOWN else ""
            return f"the gateway's check of {instance.name} at port {backend.port} passes{said}"
        if not _takes_part(server):
            return f"the gateway sends to {instance.name}"
    return ""


def admit(world: World, draft: Draft, leaving: frozenset[str]) -> None:
    """Make containers known to the gateway, weigh those that can serve, forget those that cannot."""
    gateway = world.observed.gateway
    if gateway is None:
        return
    for view in (one for one in world.views.values() if one.service.entrusted):
        course = draft.staged.get(view.service.id)
        wanted = shares(world, view, course.progress if course else under_way(world, view))
        for backend in backends(view.service):
            _forget(world, draft, view, backend, gateway)
            for member in view.members:
                if member.instance.id not in leaving and _may_serve(member.instance):
                    _admit(world, draft, view, backend, member.instance, wanted)


def keep_the_last(world: World, draft: Draft, for_good: frozenset[str]) -> None:
    """Take requests from nobody who is replaced, or one too many, before somebody else of the service can answer them.

    Who is only restarted, or moves to another network, comes back by being stopped.
    """
    for view in world.views.values():
        for backend in backends(view.service) if view.slots else ():
            serving = _serving(world, view, backend)
            less = [action for action in draft.actions if _takes_from(action, backend, serving, for_good)]
            kept = serving.keys() - {_server_of(action) for action in less}
            if less and not kept and not any(_gives_to(action, backend) for action in draft.actions):
                draft.drop(less)
                names = ", ".join(sorted(one.name for one in serving.values()))
                draft.wait(view.service.id, f"take requests from {names}", "somebody else can answer them")


def _serving(world: World, view: ServiceView, backend: Backend) -> Mapping[str, Instance]:
    """Return who answers requests now, by name of the server."""
    found = {server_name(one.instance.id): one.instance for one in view.members if _may_serve(one.instance)}
    return {
        name: one for name, one in found.items() if one.probe is not Probe.STARTING and _takes_part(_known(world, backend, one))
    }


def _takes_from(action: Action, backend: Backend, serving: Mapping[str, Instance], for_good: frozenset[str]) -> bool:
    match action.change:
        case DrainServer(backend=backend.name, server=server) if server in serving:
            return serving[server].id in for_good
        case WeighServer(backend=backend.name, server=server, weight=0):
            return server in serving
        case _:
            return False


def _gives_to(action: Action, backend: Backend) -> bool:
    return isinstance(action.change, WeighServer) and action.change.backend == backend.name and action.change.weight > 0


def _server_of(action: Action) -> str:
    return action.change.server if isinstance(action.change, DrainServer | WeighServer) else ""


def raise_first(world: World, draft: Draft) -> None:
    """Let nobody get less before others get more: between the two nobody might be left."""
    gateway = world.observed.gateway
    more: dict[str, list[str]] = {}
    less: list[tuple[str, str]] = []
    for action in draft.actions:
        change = action.change
        if isinstance(change, DrainServer):
            less.append((action.id, change.backend))
        elif isinstance(change, WeighServer) and gateway is not None:
            known = gateway.server(change.backend, change.server)
            if known is not None and known.admission is Admission.READY and known.weight > change.weight:
                less.append((action.id, change.backend))
            else:
                more.setdefault(change.backend, []).append(action.id)
    for id, backend in less:
        draft.need(id, more.get(backend, ()))


def forget_first(draft: Draft) -> None:
    """Let nobody get an address while the gateway still has a server there that is gone: it would get its requests."""
    gone = [one.id for one in draft.actions if isinstance(one.change, RemoveServer) and one.group.endswith(TRAFFIC)]
    comes = [one.id for one in draft.actions if isinstance(one.change, StartInstance | ConnectNetwork)]
    for id in comes:
        draft.need(id, gone)


def _may_serve(instance: Instance) -> bool:
    return instance.running and instance.probe is not Probe.UNHEALTHY


def _forget(world: World, draft: Draft, view: ServiceView, backend: Backend, gateway: ObservedGateway) -> None:
    """Remove who is not there any more, or not where it was: nobody else who got its address may get its requests."""
    members = {server_name(member.instance.id): member.instance for member in view.members}
    for server in (one for one in gateway.servers if one.backend == backend.name):
        why = _why_gone(server, members.get(server.name), view)
        if why and not draft.present(f"{_prefix(backend, server.name)}/remove"):
            change = RemoveServer(target_of_gateway(world.observed), backend.name, server.name)
            _act(world, draft, view, backend, server.name, "remove", change, why)


def _why_gone(server: ObservedServer, instance: Instance | None, view: ServiceView) -> str:
    if instance is None or not instance.running:
        return f"{instance.name if instance else server.name} does not run"
    if server.address != address_of(instance, view.service):
        return f"{instance.name} is no longer at {server.address}"
    return ""


def _admit(
    world: World, draft: Draft, view: ServiceView, backend: Backend, instance: Instance, wanted: Mapping[str, int]
) -> None:
    server, address = _known(world, backend, instance), address_of(instance, view.service)
    name = server_name(instance.id)
    if view.service.id in draft.busy or not address:
        return  # One that is being stopped just now looks like one that serves.
    if server is None or server.address != address:
        after = draft.present(LOAD, f"{_prefix(backend, name)}/remove")
        change = AddServer(target_of_gateway(world.observed), backend, name, address)
        _act(world, draft, view, backend, name, "add", change, f"{instance.name} runs at {address}", after)
        return
    weight = _weight(server, instance, wanted)
    if (server.admission, server.weight) != (Admission.READY, weight):
        weigh = WeighServer(target_of_gateway(world.observed), backend.name, name, weight)
        _act(
            world, draft, view, backend, name, "weigh", weigh, f"{instance.name} {'serves' if weight else 'does not serve yet'}"
        )
    elif not weight and instance.id not in wanted:
        on = why_not(world, view, instance)
        draft.wait(view.service.id, f"see {instance.name} serve", on, wake_at=world.now + GLANCE)


def _weight(server: ObservedServer, instance: Instance, wanted: Mapping[str, int]) -> int:
    """Whoever served goes on to, whatever a check says of a moment: the gateway itself sends nothing to one that is down."""
    if instance.probe is Probe.STARTING:
        return 0
    return wanted.get(instance.id, FULL) if server.check is Check.UP or server.weight else 0


def _act(
    world: World,
    draft: Draft,
    view: ServiceView,
    backend: Backend,
    server: str,
    step: str,
    change: AddServer | RemoveServer | WeighServer,
    why: str,
    needs: tuple[str, ...] = (),
) -> None:
    service, key, reasons = view.service, f"{view.service.id}{TRAFFIC}", facts(why)
    if draft.busy & {key, LISTENERS}:  # What is told to a gateway while it is loaded anew, it may forget.
        draft.wait(key, "go on", "what is in flight has ended")
        return
    draft.group(key, service.stack, f"{service.name} traffic", Verb.UPDATE, "at the gateway", reasons)
    if step != "remove" and (backoff := holding(world, key)):
        draft.wait(key, "try again", f"back-off: {backoff.why}", wake_at=backoff.next)
        return
    draft.act(f"{_prefix(backend, server)}/{step}", change, key, reasons, needs)


def _prefix(backend: Backend, server: str) -> str:
    return f"traffic/{backend.name}/{server}"


def _known(world: World, backend: Backend, instance: Instance) -> ObservedServer | None:
    gateway = world.observed.gateway
    return gateway.server(backend.name, server_name(instance.id)) if gateway else None
