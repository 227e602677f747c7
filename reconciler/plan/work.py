"""One service's share of a plan in the making: what it may use, what stands in its way, what it leaves free."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from reconciler.model import labels
from reconciler.model.desired import FailureAction, Heal, Service
from reconciler.model.observed import Instance, Neighbour
from reconciler.model.plan import Failure, Group, Reason, Target, Verb
from reconciler.model.spec import spec_hash
from reconciler.plan.draft import Chain, Draft
from reconciler.plan.order import lenders, owners
from reconciler.plan.reasons import facts
from reconciler.plan.view import Member, ServiceView, World, asks

NOTED = timedelta(seconds=1)
"""So soon a failure is noted and planned with; a state directory that takes no notes makes no loop that spins."""


@dataclass(frozen=True, slots=True)
class Work:
    world: World
    view: ServiceView
    draft: Draft

    def open(self, verb: Verb, title: str, reasons: Iterable[Reason]) -> str:
        """Open the service's group of the plan. Returns its key."""
        service = self.view.service
        return self.draft.group(service.id, service.stack, service.name, verb, title, reasons)

    def chain(self, group: str, slot: int, reasons: Iterable[Reason]) -> Chain:
        """Begin a run of actions on a slot."""
        return self.draft.chain(group, f"{self.view.service.id}/{slot}", reasons)

    def reasons(self, group: str) -> tuple[Reason, ...]:
        return self.draft.groups[group].reasons

    def fail(self, group: str, why: str, instance: Instance) -> None:
        """Note that this version failed, as this container shows.

        What follows from that the next turn plans, which is due as soon as it is noted.
        """
        self.draft.failures.append(Failure(self.view.service.id, self.view.spec, why, instance.id))
        self.draft.wait(group, "go on without this version", "its failure is noted", wake_at=self.world.now + NOTED)

    # --- drift -------------------------------------------------------------------------------------------------------

    @property
    def before(self) -> Service | None:
        """The service as the last revision asked for it that was applied whole."""
        return self.world.before(self.view.service)

    @property
    def falls_back(self) -> bool:
        """If this version fails, another one takes over that is known to be good."""
        before = self.before
        goes_back = self.view.service.update.failure_action is FailureAction.ROLLBACK
        return goes_back and before is not None and spec_hash(before, self.world.history.key) != self.view.spec

    @property
    def was_applied(self) -> bool:
        """Git has not changed this service since all of it was there: whatever differs now is drift."""
        world, service = self.world, self.view.service
        if world.history.has_applied(service.stack, world.desired.revision.id):
            return True
        key = world.history.key
        return self.before is not None and asks(self.before, key) == asks(service, key)

    def mend(self, slot: int, fact: str, title: str = "drift") -> str | None:
        """Open the group to heal a slot; None when it is not to be healed, or not yet (the plan then says so)."""
        service, reasons = self.view.service, facts(fact)
        if self.view.heal is not Heal.HEAL:
            if self.view.heal is Heal.DETECT:
                self.draft.drift.append(Group(service.id, service.stack, service.name, Verb.HEAL, "not healed", reasons))
            return None
        key = f"{service.id}/{slot}"
        backoff = self.world.history.heals.get(key)
        if backoff is not None and backoff.holds(self.world.now):
            group = self.open(Verb.HEAL, title, reasons)
            self.draft.wait(group, f"heal {fact}", f"back-off after {backoff.attempts} attempts", wake_at=backoff.next)
            return None
        return self.open(Verb.HEAL, title, reasons)

    # --- what it needs -----------------------------------------------------------------------------------------------

    def ingredients(self, name: str) -> tuple[str, ...]:
        """Return the actions of this plan that make what the container needs, or free its name."""
        service = self.view.service
        networks = (f"network:{attachment.network}" for attachment in service.networks)
        volumes = (f"volume:{volume}" for volume in service.volumes)
        content = (f"volume:{volume.name}" for volume in service.content_volumes)
        others = (f"container:{service.stack}/{other}" for other in lenders(service))
        return self.draft.needed(*networks, *volumes, *content, *others, f"image:{service.image}", f"name:{name}")

    def lacking(self) -> str:
        """Say which network, volume, image or namespace it needs that nobody can use now; "" when there is none."""
        service, lacking = self.view.service, self.draft.lacking
        networks = (f"network:{attachment.network}" for attachment in service.networks)
        volumes = (f"volume:{volume}" for volume in service.volumes)
        things = (*networks, *volumes, f"image:{service.image}")
        return next((lacking[thing] for thing in things if thing in lacking), "") or self._owner_in_motion()

    def _owner_in_motion(self) -> str:
        """Whoever moves in with a container that is about to be replaced would have to move again at once."""
        for name in owners(self.view.service):
            view = self.world.views.get(f"{self.view.service.stack}/{name}")
            if view is not None and not view.held and any(slot.stale for slot in view.slots):
                return f"{name} has been replaced"
        return ""

    def ports_freed(self) -> tuple[str, ...]:
        """Return the actions of this plan that free host ports this service publishes."""
        return self.draft.needed(*(f"port:{port}" for port in fixed_ports(self.view.service.container)))

    def makes(self, chain: Chain) -> None:
        """Note that the chain's last action made a container: of the first one others take what they share."""
        self.draft.provides.setdefault(f"container:{self.view.service.id}", chain.last)

    def frees(self, member: Member, action: str) -> None:
        """Note that an action leaves a container's name and host ports free."""
        self.draft.provides[f"name:{member.instance.name}"] = action
        for port in held_ports(member.instance):
            self.draft.provides[f"port:{port}"] = action

    # --- what stands in its way --------------------------------------------------------------------------------------

    def conflict(self, name: str, stays: Member | None = None) -> bool:
        """Block the service where a foreign container has its name or holds its host port."""
        service = self.view.service
        for neighbour in self.world.observed.neighbours or ():
            owner = owner_of(neighbour)
            if neighbour.name == name:
                hint = (
                    f"adopt it (`adopt: [{_project(neighbour)}]`), rename it, or remove it"
                    if _project(neighbour)
                    else "rename it or remove it"
                )
                self.draft.block(
                    service.id, "R132", f"container name {name} belongs to {owner}", hint, service.mark("container_name")
                )
                return True
            if stays is None and (port := _clash(neighbour, service.container)):
                message = f"host port {port} is held by {neighbour.name}, which belongs to {owner}"
                self.draft.block(service.id, "R133", message, "stop it, or publish another port", service.mark("ports"))
                return True
        return False


def target_of(member: Member) -> Target:
    """Return the target of an observed container: its id."""
    return Target(member.instance.name, member.instance.id)


def fixed_ports(container: dict[str, object] | object) -> Iterator[str]:
    """Yield the host ports a create payload asks for, as "8080/tcp"; ranges and random ones are the engine's to choose."""
    host = container.get("HostConfig", {}) if hasattr(container, "get") else {}
    yield from _host_ports(host.get("PortBindings"))


def held_ports(instance: Instance) -> Iterator[str]:
    """Yield the host ports a container holds while it runs."""
    yield from _host_ports(instance.detail.get("HostConfig", {}).get("PortBindings"))


def written(instance: Instance) -> frozenset[str]:
    """Return the volumes, by name, and the host's directories that a container writes to."""
    mounts: Iterable[Mapping[str, Any]] = instance.detail.get("Mounts") or ()
    return frozenset(str(mount.get("Name") or mount.get("Source")) for mount in mounts if mount.get("RW"))


def _host_ports(bindings: object) -> Iterator[str]:
    for port, entries in (bindings or {}).items():  # type: ignore[attr-defined]
        for entry in entries or ():
            published = str(entry.get("HostPort") or "")
            if published.isdecimal() and published != "0":
                yield f"{published}/{str(port).partition('/')[2] or 'tcp'}"


def _clash(neighbour: Neighbour, container: object) -> str:
    wanted = set(fixed_ports(container))
    return min((f"{port}/{protocol}" for _, port, protocol in neighbour.ports if f"{port}/{protocol}" in wanted), default="")


def owner_of(neighbour: Neighbour) -> str:
    """Say in words whose a container is that is not ours."""
    if environment := neighbour.labels.get(labels.ENVIRONMENT):
        return f"environment {environment!r} of another reconciler"
    if project := _project(neighbour):
        return f"Compose project {project!r}, which this environment does not own"
    return "nobody we know"


def _project(neighbour: Neighbour) -> str:
    return neighbour.labels.get(labels.COMPOSE_PROJECT, "")
