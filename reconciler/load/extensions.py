"""What do the `x-` keys of a service say, and which of them does this version act on?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from reconciler.errors import InvalidState, Problem
from reconciler.load.environment import StackSettings
from reconciler.load.notes import Path
from reconciler.load.places import Marks
from reconciler.load.terms import (
    Cron,
    Date,
    Duration,
    Flag,
    HostName,
    Name,
    Number,
    Port,
    RepositoryPath,
    Share,
    Size,
    Texts,
    TimeZone,
    UrlPath,
    Whole,
)
from reconciler.load.written import Codes, Written, read, refused

CODES = Codes(unknown_key="R034", wrong_kind="R030", missing_key="R035", refused_value="R031")


class FileSettings(StackSettings):
    """`x-reconciler` at the top of a compose file: the stack keys that make sense there."""

    adopt: Texts = ()
    """Compose projects that run already and whose containers this stack takes over."""


class ServiceSettings(Written):
    """`x-reconciler` of a service."""

    heal: Literal["heal", "detect", "off"] | None = None
    """What drift of this service leads to."""
    ignore: Texts = ()
    """Attributes of this service that are not compared with what runs."""
    unsupported: Literal["error", "warn"] | None = None
    """What an attribute that Compose knows and this version does not implement leads to."""


class Range(Written):
    """Something with a `min` and a `max`."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = getattr(self, "min", None), getattr(self, "max", None)
        if low is not None and high is not None and low > high:
            raise refused("min is more than max")
        return self


class Step(Written):
    """One step of a canary."""

    weight: Annotated[Whole, Field(ge=1, le=100)]
    """Per cent of the traffic that the new set gets."""
    pause: Duration = 0.0
    """How long to stay there."""


class Query(Range):
    """A metric that judges a canary."""

    source: Literal["engine", "gateway", "influxdb", "prometheus", "http"]
    """Where to ask."""
    query: str | None = None
    """What to ask the source."""
    min: Number | None = None
    """Less than this is a failure."""
    max: Number | None = None
    """More than this is a failure."""


class Analysis(Written):
    """What decides whether a new set is good."""

    max_error_ratio: Share | None = None
    """Most errors among the answers of the new set."""
    max_slowdown: Share | None = None
    """How much slower than the old set the new one may answer."""
    min_requests: Annotated[Whole, Field(ge=1)] = 1
    """Fewer requests than this say nothing."""
    on_no_traffic: Literal["inconclusive", "pass", "fail"] = "inconclusive"
    """Verdict when there were too few requests."""
    metrics: dict[Name, Query] = Field(default_factory=dict)
    """Further metrics by name."""


def _increasing(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    weights = [step.weight for step in steps]
    if not weights:
        raise refused("a canary needs at least one step")
    if weights != sorted(set(weights)):
        raise refused(
            f"the weights {', '.join(map(str, weights))} do not increase", "each step sends more traffic than the last"
        )
    return steps


class Canary(Written):
    """`strategy: canary`: traffic moves step by step."""

    steps: Annotated[tuple[Step, ...], AfterValidator(_increasing)]
    """In order; after the last one all traffic goes to the new set."""


class BlueGreen(Written):
    """`strategy: blue-green`: traffic moves at once."""

    keep_old: Duration = 600.0
    """How long the old set stays for an instant return."""


class Rollout(Written):
    """`x-rollout`: how a new spec takes over."""

    strategy: Literal["rolling", "recreate", "blue-green", "canary"] = "rolling"
    """How replicas are exchanged: one after another, all at once, or beside the old ones."""
    canary: Canary | None = None
    """Needed for `strategy: canary`."""
    blue_green: BlueGreen | None = None
    analysis: Analysis | None = None
    on_failure: Literal["rollback", "revert", "pause"] = "rollback"
    """`revert` also pushes a commit that takes the change back; `pause` lets a person look at a set first."""
    timeout: Duration = 900.0
    """Longest time without progress."""
    shared_volumes: Flag = False
    """Old and new set may write to the same volumes at once."""

    @model_validator(mode="after")
    def _steps_for_canary(self) -> Self:
        if self.strategy == "canary" and not self.canary:
            raise refused("a canary needs its steps", "canary: {steps: [{weight: 10, pause: 2m}, {weight: 50, pause: 5m}]}")
        return self


class Metric(Written):
    """A metric that drives the number of replicas."""

    source: Literal["engine", "gateway", "influxdb", "prometheus", "http"]
    """Where to ask."""
    target: Annotated[Number, Field(gt=0)]
    """Value per replica to aim at; for `cpu` and `memory` per cent of what is declared."""
    activation: Annotated[Number, Field(ge=0)] | None = None
    """Above this a service at zero replicas is woken."""
    query: str | None = None
    """What to ask the source."""
    dialect: Literal["influxql", "flux"] = "influxql"
    """Language of the query, for `influxdb`."""
    database: str | None = None
    """Database, or bucket, for `influxdb`."""
    parameters: dict[str, str] = Field(default_factory=dict)
    """Bound into the query, never pasted."""
    url: str | None = None
    """Address, for `http` and `prometheus`."""
    pointer: str | None = None
    """JSON pointer to the number in what the URL answers."""
    window: Duration = 60.0
    """How far back samples count."""


class Rate(Written):
    """How fast replicas may change in one direction."""

    stabilize: Duration | None = None
    """The most cautious proposal of this long back counts."""
    max_percent: Annotated[Whole, Field(ge=0)] | None = None
    """Most change in one period, in per cent of the replicas."""
    max_replicas: Annotated[Whole, Field(ge=0)] | None = None
    """Most change in one period, in replicas; the larger of the two counts."""
    period: Duration = 15.0
    """Length of a period."""


class Behavior(Written):
    """How eagerly to scale."""

    up: Rate = Rate()
    """Towards more replicas."""
    down: Rate = Rate()
    """Towards fewer replicas."""
    tolerance: Share = 0.1
    """Deviation from the target that changes nothing."""
    cooldown: Duration = 300.0
    """How long without load before going to zero."""


class Bounds(Range):
    """How many replicas at least and at most."""

    min: Annotated[Whole, Field(ge=0)]
    """Fewest replicas."""
    max: Annotated[Whole, Field(ge=0)]
    """Most replicas."""


class Season(Bounds):
    """Bounds that hold from a moment on for some time."""

    cron: Cron
    """Five cron fields: minute, hour, day of month, month, day of week."""
    duration: Duration
    """How long they hold."""
    timezone: TimeZone = "UTC"
    """Time zone of `cron`."""


class Fallback(Written):
    """What to do when no metric answers."""

    replicas: Annotated[Whole, Field(ge=0)]
    """How many replicas to hold, never fewer than there are."""
    after: Duration = 180.0
    """How long every metric must be missing."""


class SizeRange(Range):
    """Memory from `min` to `max`, in bytes."""

    min: Size
    """Smallest limit, such as `256m`."""
    max: Size
    """Largest limit."""


class CpuRange(Range):
    """CPUs from `min` to `max`."""

    min: Annotated[Number, Field(gt=0)]
    """Smallest limit, in CPUs."""
    max: Annotated[Number, Field(gt=0)]
    """Largest limit."""


class Vertical(Written):
    """How large one replica may become."""

    memory: SizeRange | None = None
    cpus: CpuRange | None = None


class Autoscale(Range):
    """`x-autoscale`: how the number of replicas and their size follow the load."""

    mode: Literal["horizontal", "vertical", "hybrid"] = "horizontal"
    """Change the number of replicas, their size, or both."""
    apply: Literal["off", "recommend", "auto"] = "auto"
    """`recommend`: say what would be done; `auto`: do it."""
    min: Annotated[Whole, Field(ge=0)] | None = None
    """Fewest replicas."""
    max: Annotated[Whole, Field(ge=0)] | None = None
    """Most replicas."""
    metrics: dict[Name, Metric] = Field(default_factory=dict)
    """Metrics by name; the one that asks for most wins."""
    behavior: Behavior = Behavior()
    schedule: dict[Name, Season] = Field(default_factory=dict)
    """Other bounds at certain times, by name."""
    fallback: Fallback | None = None
    vertical: Vertical | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.mode != "vertical" and (self.min is None or self.max is None or not self.metrics):
            raise refused(f"mode {self.mode} needs min, max and metrics")
        if self.mode != "horizontal" and not self.vertical:
            raise refused(f"mode {self.mode} needs the ranges under vertical")
        return self


_SEMVER_RANGE = re.compile(r"semver\s+(?P<quote>[\"']?)(?P<range>[^\"']+)(?P=quote)")
_COMPARATOR = re.compile(r"(?:>=|<=|>|<|=|\^|~)?\d+(?:\.\d+){0,2}(?:-[0-9A-Za-z.-]+)?")


def _image_policy(text: str) -> str:
    """Return `digest`, or `semver` and comparators with single spaces between them."""
    match = _SEMVER_RANGE.fullmatch(text)
    comparators = match["range"].split() if match else []
    if text == "digest" or (comparators and all(map(_COMPARATOR.fullmatch, comparators))):
        return " ".join(["semver", *comparators]) if comparators else text
    raise refused("expected `digest`, or `semver` and a range", 'such as semver ">=1.4 <2"')


class Image(Written):
    """`x-image`: which newer images are written to Git."""

    policy: Annotated[str, AfterValidator(_image_policy)]
    """`digest`: the same tag's newest content; `semver ">=1.4 <2"`: the highest tag in the range."""


class Traffic(Written):
    """`x-traffic`: who holds the service's ports and names."""

    mode: Literal["gateway", "direct"] | None = None
    """Force the published ports to the gateway, or to the containers; a bare text says the same."""
    internal: Literal["gateway"] | None = None
    """Also put the service's network aliases behind a gateway."""
    proxy_protocol: Flag = False
    """Tell the service the client's address by the PROXY protocol."""


class Tls(Written):
    """Files of a route's certificate."""

    certificate: RepositoryPath
    """The certificate, with its chain, in the repository."""
    key: str
    """Name of the secret that holds the private key."""


class Route(Written):
    """`x-route`: which HTTP requests at the gateway are the service's."""

    host: HostName | None = None
    """Host name; `*.example.org` stands for one label."""
    path: UrlPath = "/"
    """Beginning of the path."""
    port: Port
    """Port of the service."""
    tls: Tls | None = None
    health: UrlPath | None = None
    """Path that answers 2xx while the service is well."""


_ADDRESS = re.compile(r"host|gateway|network:[a-zA-Z0-9._-]+")


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise refused("expected `host`, `gateway` or `network:` and a network's key")
    return text


class Discovery(Written):
    """`x-discovery`: how replicas stand in the registry."""

    name: HostName | None = None
    """Name in the registry; default: the service's."""
    port: Port | None = None
    """Port that entries carry; default: the only one the service exposes."""
    address: Annotated[str, AfterValidator(_address)] | None = None
    """`host`, `gateway`, or `network:` and its key; default: `host` for a published port, else the first network."""
    tags: tuple[str, ...] = ()
    """Tags of its entries."""
    meta: dict[str, str] = Field(default_factory=dict)
    """Further facts in its entries."""
    uses: dict[str, str] = Field(default_factory=dict)
    """Environment variables that get the stable URL of another service."""
    resolve: Flag = False
    """Ask the registry's DNS server from inside the containers."""


class Hook(Written):
    """A job before, after or instead of a wave."""

    phase: Literal["pre-sync", "post-sync", "on-failure"]
    """When it runs: before or after the wave, or when the wave fails."""
    service: str | None = None
    """Service whose image and settings it runs with; default: this one."""
    command: Texts
    """What it runs."""
    timeout: Duration = 600.0
    """Longest time it may take."""
    on_failure: Literal["abort", "continue"] = "abort"
    """What its failure leads to."""


class Sync(Written):
    """`x-sync`: when in its stack the service comes."""

    wave: Whole = 0
    """Wave n+1 starts when wave n is healthy."""
    hooks: dict[Name, Hook] = Field(default_factory=dict)
    """Jobs around the wave, by name."""


class Pin(Written):
    """`x-reconciler-pin`, in an override file: a person holds the value beside it."""

    by: str
    """Who holds the value."""
    until: Date
    """Until when."""
    reason: str
    """Why."""


MODELS: Mapping[str, type[Written]] = {
    "x-reconciler": ServiceSettings,
    "x-rollout": Rollout,
    "x-autoscale": Autoscale,
    "x-image": Image,
    "x-traffic": Traffic,
    "x-route": Route,
    "x-discovery": Discovery,
    "x-sync": Sync,
    "x-reconciler-pin": Pin,
}
PIN = "x-reconciler-pin"
FILE_KEY = "x-reconciler"


def read_file_settings(document: Mapping[str, Any], marks: Marks) -> FileSettings:
    """Return what `x-reconciler` at the top of a compose file says. Raises InvalidState."""
    if FILE_KEY not in document:
        return FileSettings()
    return read(FileSettings, document[FILE_KEY], marks, (FILE_KEY,), CODES)


def read_extensions(service: Mapping[str, Any], marks: Marks, at: Path) -> dict[str, Any]:
    """Return our x- keys of a canonical service, by key, as plain data with defaults, durations in seconds, sizes in bytes.

    Keys of others are left alone. Raises InvalidState with all mistakes.
    """
    problems: list[Problem] = []
    extensions: dict[str, Any] = {}
    for key, path, value in _written(service):
        try:
            extensions[key] = _plain(read(MODELS[key], value, marks, (*at, *path), CODES))
        except InvalidState as error:
            problems.extend(error.problems)
    if problems:
        raise InvalidState(problems)
    return extensions


def not_acted_on(extensions: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the x- keys of a service (`x-rollout.analysis.metrics`) that this version checks, but does nothing about yet."""
    return tuple(path for path, waits in _NOT_ACTED_ON.items() if waits(extensions.get(path.partition(".")[0], {})))


def _written(service: Mapping[str, Any]) -> Iterator[tuple[str, Path, object]]:
    """Yield key, path inside the service and value of what is written; a pin may stand under `deploy` too."""
    deploy = service.get("deploy", {})
    if PIN in deploy:
        yield PIN, ("deploy", PIN), deploy[PIN]
    for key in sorted(MODELS.keys() & service.keys()):
        value = service[key]
        yield key, (key,), {"mode": value} if key == "x-traffic" and isinstance(value, str) else value


def _plain(model: Written) -> dict[str, Any]:
    return model.model_dump(by_alias=True, exclude_none=True)


_NOT_ACTED_ON: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "x-autoscale": lambda autoscale: autoscale.get("apply", "off") != "off",
    "x-image": bool,
    "x-rollout.analysis.metrics": lambda rollout: bool(rollout.get("analysis", {}).get("metrics")),
    "x-sync.hooks": lambda sync: bool(sync.get("hooks")),
    "x-traffic.internal": lambda traffic: "internal" in traffic,
}
