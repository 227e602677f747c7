"""What of ours does the engine run?"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reconciler.drivers.docker.connection import Connection, path_of, side_by_side
from reconciler.drivers.docker.errors import Rejected
from reconciler.drivers.docker.hearing import NETWORK, VOLUME, Hearing, News
from reconciler.model.observed import Engine, Instance, Neighbour, ObservedNetwork, ObservedVolume, Phase, Probe
from reconciler.ports import Depth

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sighting:
    """Our containers, and every network and volume of the engine: a foreign one may hold a wanted name.

    followed  what was looked at since the look before, by word of events; None where lists were asked for
    """

    instances: tuple[Instance, ...] = ()
    networks: tuple[ObservedNetwork, ...] = ()
    volumes: tuple[ObservedVolume, ...] = ()
    followed: News | None = None


@dataclass
class Observer:
    """Lists what is ours and inspects what changed since the last look; after events that told enough, only inspects.

    One look at a time.
    """

    connection: Connection
    hearing: Hearing
    _marks: tuple[str, ...] = ()
    _inspected: dict[str, tuple[object, Instance]] = field(default_factory=dict)
    _networks: list[Document] = field(default_factory=list)
    _volumes: list[Document] = field(default_factory=list)
    _looking: threading.Lock = field(default_factory=threading.Lock)

    def look(self, filters: Iterable[str], depth: Depth) -> Sighting:
        """Return the containers that carry one of the labels (`key=value`), all networks and all volumes."""
        marks = tuple(filters)
        with self._looking:
            news = self.hearing.take()
            followed = news if depth is Depth.HEARD and news.enough and marks == self._marks else None
            try:
                if followed:
                    self._follow(followed)
                else:
                    self._list(marks, news, whole=depth is Depth.WHOLE or news.lost)
            except BaseException:
                self.hearing.untake(news)
                raise
            return self._sighting(followed)

    def engine(self) -> Engine:
        """Ask what the engine is."""
        info = self.connection.get("/info")
        return Engine(
            version=self.connection.version,
            api=".".join(map(str, self.connection.api)),
            cpus=int(info.get("NCPU") or 1),
            memory_bytes=int(info.get("MemTotal") or 0),
            rootless=any("name=rootless" in option for option in info.get("SecurityOptions") or ()),
            os=str(info.get("OSType") or "linux"),
        )

    # --- from lists --------------------------------------------------------------------------------------------------

    def _list(self, marks: tuple[str, ...], news: News, *, whole: bool) -> None:
        """List everything, and inspect where a row or an event tells of a change; all of them, if the whole is asked for."""
        ours = ({"all": True, "filters": {"label": [mark]}} for mark in marks)
        questions = [("/networks", {}), ("/volumes", {}), *(("/containers/json", query) for query in ours)]
        networks, volumes, *lists = side_by_side(lambda question: self.connection.get(question[0], **question[1]), questions)
        # What carries two of the labels stands in two lists.
        sights = {row["Id"]: _sight(row) for rows in lists for row in rows}
        known = {} if whole else {id: seen for id, seen in self._inspected.items() if id not in news.containers}
        stale = [id for id, sight in sights.items() if id not in known or known[id][0] != sight]
        fresh = self._inspect_all(stale)
        seen = {id: (sights[id], found) for id, found in fresh.items() if found}
        self._inspected = {id: known[id] for id in sights if id not in fresh} | seen
        self._marks, self._networks, self._volumes = marks, networks, volumes.get("Volumes") or []

    # --- from events -------------------------------------------------------------------------------------------------

    def _follow(self, news: News) -> None:
        """Inspect what events named, and list only the kinds of which something came or went."""
        fresh = self._inspect_all(sorted(news.containers))
        # No list told what it looks like in one: the next list has it inspected again.
        seen = {id: (None, found) for id, found in fresh.items() if found and _carries(found, self._marks)}
        networks = self.connection.get("/networks") if NETWORK in news.kinds else self._networks
        volumes = self.connection.get("/volumes").get("Volumes") or [] if VOLUME in news.kinds else self._volumes
        self._inspected = {id: one for id, one in self._inspected.items() if id not in fresh} | seen
        self._networks, self._volumes = networks, volumes

    # --- both --------------------------------------------------------------------------------------------------------

    def _inspect_all(self, ids: list[str]) -> dict[str, Instance | None]:
        """Return containers by id, None for one that is gone."""
        return dict(zip(ids, side_by_side(self._inspect, ids), strict=True))

    def _inspect(self, id: str) -> Instance | None:
        try:
            return instance(self.connection.get(path_of("/containers/{}/json", id)))
        except Rejected as rejected:
            if rejected.status == 404:
                return None
            raise

    def _sighting(self, followed: News | None) -> Sighting:
        instances = sorted((found for _, found in self._inspected.values()), key=lambda one: one.name)
        users = _users(instances)
        return Sighting(
            tuple(instances),
            tuple(_network(one, users) for one in sorted(self._networks, key=lambda one: (one["Name"], one["Id"]))),
            tuple(_volume(one) for one in sorted(self._volumes, key=lambda one: str(one["Name"]))),
            followed,
        )


def instance(document: Document) -> Instance:
    """Read the engine's inspect document."""
    state = document["State"]
    return Instance(
        id=document["Id"],
        name=document["Name"].removeprefix("/"),
        labels=document["Config"].get("Labels") or {},
        phase=Phase(state["Status"]),
        probe=Probe((state.get("Health") or {}).get("Status") or Probe.NONE),
        exit_code=state.get("ExitCode") or 0,
        restarts=document.get("RestartCount") or 0,
        oom_killed=bool(state.get("OOMKilled")),
        image_id=document["Image"],
        created=moment(document.get("Created")),
        started=moment(state.get("StartedAt")),
        finished=moment(state.get("FinishedAt")),
        detail=document,
    )


def neighbour(row: Document) -> Neighbour:
    """Read a row of the engine's list."""
    # Links give a container further names, which are longer: `/other/alias`.
    names = sorted((name.removeprefix("/") for name in row.get("Names") or ()), key=len)
    published = {
        (port.get("IP") or "", port["PublicPort"], port["Type"]) for port in row.get("Ports") or () if "PublicPort" in port
    }
    marks, running = row.get("Labels") or {}, row["State"] == "running"
    return Neighbour(row["Id"], names[0] if names else "", marks, tuple(sorted(published)), running)


def moment(text: str | None) -> datetime | None:
    """Read the engine's time stamp; its year 1 means never."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text).astimezone(UTC)


def _sight(row: Document) -> object:
    """Return what of a list's row says that the container is no longer as it was inspected.

    The status is prose ("Up 2 minutes (healthy)"): health and exit code stand in brackets, the rest is only age.
    A restart gives every network a new endpoint.
    """
    networks = (row.get("NetworkSettings") or {}).get("Networks") or {}
    places = frozenset((name, place.get("NetworkID"), place.get("EndpointID")) for name, place in networks.items())
    said = tuple(re.findall(r"\([^)]*\)", row.get("Status") or ""))
    return row["State"], frozenset(row.get("Names") or ()), row.get("ImageID"), row.get("Image"), said, places


def _carries(instance: Instance, marks: Iterable[str]) -> bool:
    """An event may have come before anybody knew whose containers are ours."""
    return any(instance.labels.get(key) == value for key, _, value in (mark.partition("=") for mark in marks))


def _users(instances: Iterable[Instance]) -> dict[str, set[str]]:
    """Return the containers by network: its id, or its name for a container that has not been started yet."""
    users: dict[str, set[str]] = {}
    for one in instances:
        for name, place in ((one.detail.get("NetworkSettings") or {}).get("Networks") or {}).items():
            users.setdefault(place.get("NetworkID") or name, set()).add(one.id)
    return users


def _network(document: Document, users: Mapping[str, set[str]]) -> ObservedNetwork:
    id, name = document["Id"], document["Name"]
    attached = frozenset(users.get(id, set()) | users.get(name, set()))
    return ObservedNetwork(id, name, document.get("Labels") or {}, document, attached)


def _volume(document: Document) -> ObservedVolume:
    return ObservedVolume(document["Name"], document.get("Labels") or {}, document)
