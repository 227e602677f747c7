"""A plan is a value: what to do, why, in which order, and what must wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from reconciler.errors import Mark
from reconciler.model.catalog import Entry
from reconciler.model.desired import Attachment, ContentFile, Hook, Network, Volume
from reconciler.model.rollout import Progress
from reconciler.model.traffic import Backend, TrafficConfig


@dataclass(frozen=True, slots=True)
class Target:
    """A container an action works on: by id when it was observed, by name when an earlier action of the plan makes it."""

    name: str
    id: str = ""

    @property
    def handle(self) -> str:
        """What to tell the engine."""
        return self.id or self.name


@dataclass(frozen=True, slots=True)
class CreateNetwork:
    network: Network
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RemoveNetwork:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ConnectNetwork:
    """Attach a container; `endpoint` is the engine's EndpointSettings with every alias."""

    target: Target
    network: str
    endpoint: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DisconnectNetwork:
    target: Target
    network: str


@dataclass(frozen=True, slots=True)
class CreateVolume:
    """Also how a finished job is remembered: an empty volume whose labels say so."""

    name: str
    payload: Mapping[str, Any]
    labels: Mapping[str, str]
    volume: Volume | None = None


@dataclass(frozen=True, slots=True)
class FillVolume:
    """Put files into a volume that no running container uses yet; targets count from its root.

    image   what the helper container is made of that mounts the volume and never starts; it must be there
    labels  of the helper, so that one left behind by a killed process is known as ours
    beside  a directory of the image whose files come into the volume too, beneath ours; "" for ours alone
    Doing it twice changes nothing.
    """

    volume: str
    files: tuple[ContentFile, ...] = field(repr=False)
    image: str
    labels: Mapping[str, str]
    beside: str = ""


@dataclass(frozen=True, slots=True)
class RemoveVolume:
    name: str


@dataclass(frozen=True, slots=True)
class PullImage:
    """Pull a reference; `digest` pins what the plan saw ("sha256:…"), "" when the registry was not asked."""

    reference: str
    platform: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class RemoveImage:
    reference: str


@dataclass(frozen=True, slots=True)
class CreateInstance:
    """Create a container. `payload` is complete but for what only the engine knows (ids of networks and namespaces).

    networks  every attachment, primary first, endpoint complete with aliases
    inherits  id of the container whose anonymous volumes at `anonymous` it takes over, "" for none
    """

    name: str
    service: str
    slot: int
    image: str
    payload: Mapping[str, Any] = field(repr=False)
    networks: tuple[Attachment, ...] = ()
    platform: str = ""
    inherits: str = ""
    anonymous: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliverFiles:
    """Put files into a created, never started container. Doing it twice changes nothing."""

    target: Target
    files: tuple[ContentFile, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartInstance:
    target: Target


@dataclass(frozen=True, slots=True)
class StopInstance:
    """Stop; `grace_seconds` None leaves it to the container's own stop time-out."""

    target: Target
    grace_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class UnpauseInstance:
    target: Target


@dataclass(frozen=True, slots=True)
class RemoveInstance:
    """Remove a stopped container; `volumes` also removes its anonymous volumes."""

    target: Target
    volumes: bool = False


@dataclass(frozen=True, slots=True)
class RenameInstance:
    target: Target
    name: str


@dataclass(frozen=True, slots=True)
class UpdateInstance:
    """Change limits or the restart policy of a live container; `payload` is the engine's update body."""

    target: Target
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunHook:
    target: Target
    hook: Hook


@dataclass(frozen=True, slots=True)
class HandOver:
    """Pass the lease of an environment on to the reconciler in another container of ours, its successor.

    holder  who holds it now
    until   how long the successor has to take it (UTC)
    """

    target: Target
    environment: str
    holder: str
    until: datetime


@dataclass(frozen=True, slots=True)
class LoadGateway:
    """Have a gateway loaded with a config, its servers kept as they are, and have it start with the config alone.

    Without servers, because after a start of the engine an address may be somebody else's. Nothing is loaded anew where the
    gateway runs with the config already.
    """

    gateway: Target
    config: TrafficConfig


@dataclass(frozen=True, slots=True)
class StageGateway:
    """Have the next gateway on the same volume start with what this one does now, servers included: it takes over from it."""

    gateway: Target
    config: TrafficConfig


@dataclass(frozen=True, slots=True)
class AddServer:
    """Make a container known to a backend, with weight 0: checks begin, and it gets nothing yet.

    One that is known under that address stays as it is; one under another address must be removed first (Conflict).
    """

    gateway: Target
    backend: Backend
    server: str
    address: str


@dataclass(frozen=True, slots=True)
class WeighServer:
    """Let a server take its share of what is new; one that drained takes part again. The weight is 0 to 256."""

    gateway: Target
    backend: str
    server: str
    weight: int


@dataclass(frozen=True, slots=True)
class DrainServer:
    """Let a server end what it has in flight, and get nothing new."""

    gateway: Target
    backend: str
    server: str


@dataclass(frozen=True, slots=True)
class RemoveServer:
    """Forget a server; what it still has in flight is closed. One that is not known is forgotten already."""

    gateway: Target
    backend: str
    server: str


TrafficChange = LoadGateway | StageGateway | AddServer | WeighServer | DrainServer | RemoveServer

EngineChange = (
    CreateNetwork
    | RemoveNetwork
    | ConnectNetwork
    | DisconnectNetwork
    | CreateVolume
    | FillVolume
    | RemoveVolume
    | PullImage
    | RemoveImage
    | CreateInstance
    | DeliverFiles
    | StartInstance
    | StopInstance
    | UnpauseInstance
    | RemoveInstance
    | RenameInstance
    | UpdateInstance
    | RunHook
    | HandOver
)

Change = EngineChange | TrafficChange
"""One call to one port."""


@dataclass(frozen=True, slots=True)
class Register:
    """Bring an entry, as it is now, to the external registry at `url`. Doing it twice changes nothing."""

    url: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Deregister:
    """Take an entry (by id) out of the external registry at `url`."""

    url: str
    entry: str


RegistryChange = Register | Deregister
Step = Change | RegistryChange


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a field with its old and new value (already safe to show) and where the new one is written, or a bare fact.

    `old` and `new` are "" for a fact; both "(changed)" where the value may not be shown.
    """

    text: str
    old: str = ""
    new: str = ""
    source: Mark | None = None


class Verb(StrEnum):
    """What happens to a group, as the plan's first column shows it."""

    CREATE = "create"
    UPDATE = "update"
    HEAL = "heal"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Group:
    """What a person sees as one thing: a service, a network, a volume, with the reasons that everything in it shares.

    key    "stack/service", "stack/network/KEY", "stack/volume/KEY", "stack/registry/NAME", "images"
    title  one line: "rolling 3 replicas, start-first (no writable mounts)"
    """

    key: str
    stack: str
    name: str
    verb: Verb
    title: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """One call to one port, after everything in `needs` (ids of actions of the same plan).

    `id` is stable: equal inputs make equal ids. `group` is a Group.key, `verb` what happens to that group.
    """

    id: str
    change: Step
    group: str
    reasons: tuple[Reason, ...]
    needs: tuple[str, ...] = ()
    verb: Verb = Verb.UPDATE


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the plan will do once a condition holds; `until` is when it has waited too long, None: never.

    on       what it waits for, in words: "db is healthy", "delay of 10s", "image pull"
    wake_at  when the condition may hold without any event (a delay, a back-off), None: an event will tell
    """

    group: str
    what: str
    on: str
    wake_at: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """Something wanted that a person must decide or repair first; the rest of the plan goes on."""

    group: str
    code: str
    message: str
    hint: str = ""
    source: Mark | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What is not done though Git asks for it, because a person or the clock says so.

    key       the stack, or "stack/service"
    why       "suspended: disk swap", "deny window office-hours is open"
    what      how much is held: "1 to update"; "" where everything is as Git asks
    until     when it ends by itself, None: when a person says so
    ends      what ends it where `until` is None
    services  ids of the services that it keeps from what Git asks
    """

    key: str
    why: str
    what: str = ""
    until: datetime | None = None
    services: frozenset[str] = frozenset()
    ends: str = "until `reconciler resume`"


@dataclass(frozen=True, slots=True)
class Failure:
    """A spec that did not work, to be remembered: (service id, spec hash) is not tried again at this revision.

    instance    id of the container that failed
    last_words  what it wrote last, oldest line first; no plan knows that yet
    """

    service: str
    spec: str
    message: str
    instance: str = ""
    last_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Announcement:
    """What the steps of a group lead to in the registry: "register shop-web-3 once it is ready"."""

    group: str
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one turn decided.

    actions    what to do now, in total order
    waiting    what comes later, and what it waits for
    drift      groups that differ from Git but are not healed (heal: detect), or are healed now
    blocked    what a person must decide
    failures   specs this turn found to have failed; the record keeps them as quarantine
    withheld   stacks whose new revision waits for a person (sync: manual)
    held       what a suspension, a rollback or a window keeps from being done
    rollouts   service id -> how far its rollout is after this turn; whoever is not named has none
    notes      facts a reader should know: a behaviour that is not there yet, an unknown neighbour
    complete   False when a neighbour's silence held something back
    entries    what can be found of the containers there are, before anything is done; None when nobody knows
    announced  what its steps lead to in the registry
    """

    environment: str
    revision_id: str
    revision_subject: str
    observed_at: datetime
    groups: tuple[Group, ...] = ()
    actions: tuple[Action, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    drift: tuple[Group, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    failures: tuple[Failure, ...] = ()
    withheld: tuple[str, ...] = ()
    held: tuple[Held, ...] = ()
    rollouts: Mapping[str, Progress] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    complete: bool = True
    was: str = ""
    entries: tuple[Entry, ...] | None = None
    announced: tuple[Announcement, ...] = ()

    @property
    def empty(self) -> bool:
        """Nothing to do, now or later, and nothing held back."""
        return not (self.actions or self.waiting or self.blocked or self.groups or any(one.what for one in self.held))
