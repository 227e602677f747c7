"""Do the files that `init` writes ask for what runs? Everything that reaches the engine goes there and is read back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.drivers.directory import FolderSource
from reconciler.drivers.memory.repository import MemoryFiles
from reconciler.load.loading import LoadSettings, load
from reconciler.load.operator import read_operator
from reconciler.load.recover import Recovered, operators_file, projects, recover, repository
from reconciler.model import labels
from reconciler.model.desired import DesiredState, Service
from reconciler.model.history import HashKey, History
from reconciler.model.observed import (
    Instance,
    Neighbour,
    ObservedImage,
    ObservedNetwork,
    ObservedState,
    ObservedVolume,
    Phase,
)
from reconciler.model.policy import Policy, Preset
from reconciler.model.source import Revision
from reconciler.model.spec import live_document, spec_document
from reconciler.plan.assume import assume

EVERYTHING = Path(__file__).parents[1] / "engine" / "payload"
PROJECT = "p7payload"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
REVISION = Revision("0" * 40, "main", NOW)

NOT_TOLD = {
    "config-content": "a file that was put into the container",
    "secret-environment": "a file that was put into the container",
    "security-profile": "a file of which the engine keeps the content only",
    "platform": "the engine's own",
    "command-cleared": "the image has none",
    "entrypoint-cleared": "the image has none",
    "environment-list": "a variable that is taken away from an image that has none",
    "init-off": "the engine's default",
    "limits": "as much swap as memory is the engine's default",
    "restart-no": "the engine's default",
    "restart-deploy-none": "the engine's default",
    "runtime": "the engine's default",
}
"""What the engine does not tell of, and what it would do anyway."""


def recovered(desired: DesiredState) -> Recovered:
    """Return the project as `init` finds it when everything desired runs, made by docker compose."""
    return recover(PROJECT, as_composed(assume(desired, NOW, History(HashKey("test", b"test")))))


def as_composed(observed: ObservedState) -> ObservedState:
    """Without our labels."""
    return replace(
        observed,
        instances=tuple(_as_composed(one) for one in observed.instances),
        networks=tuple(replace(one, labels=theirs(one.labels)) for one in observed.networks),
        volumes=tuple(replace(one, labels=theirs(one.labels)) for one in observed.volumes),
    )


def _as_composed(one: Instance) -> Instance:
    """The engine calls the network that a container was created on its mode."""
    host, networks = one.detail["HostConfig"], one.detail["NetworkSettings"]["Networks"]
    mode = host.get("NetworkMode") or next(iter(networks), "none")
    return replace(one, labels=theirs(one.labels), detail={**one.detail, "HostConfig": {**host, "NetworkMode": mode}})


def theirs(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if not name.startswith(labels.OURS)}


def read_back(found: Recovered) -> DesiredState:
    """Load the repository that `init` writes, with the operator's file that it writes."""
    files = {path: text.encode() for path, text in repository("test", [found]).items()}
    variables = read_operator(operators_file([found]).encode(), "operator.yaml").environment if found.variables else {}
    return load(MemoryFiles(files), REVISION, LoadSettings("test", variables, Policy(Preset.OPEN)))


def whole(service: Service) -> dict[str, Any]:
    """Everything of a service that is seen on the engine."""
    return {
        "spec": spec_document(service),
        "live": live_document(service),
        "networks": service.networks,
        "container_name": service.container_name,
        "replicas": service.replicas,
        "depends_on": service.depends_on,
    }


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> DesiredState:
    top = tmp_path_factory.mktemp("everything")
    shutil.copytree(EVERYTHING, top / "shop")
    (top / "reconciler.yaml").write_text(
        f"api: v1\nname: test\nstacks: {{shop: {{path: shop, project: {PROJECT}, unsupported: warn}}}}\n"
    )
    source = FolderSource(top)
    revision = source.fetch()
    settings = LoadSettings("test", {"shop": {"PAYLOAD_TOKEN": "t0ken"}}, Policy(Preset.OPEN))
    return load(source.files(revision.id), revision, settings)


@pytest.fixture(scope="module")
def got(asked: DesiredState) -> DesiredState:
    return read_back(recovered(asked))


def services(desired: DesiredState) -> dict[str, Service]:
    return {service.name: service for stack in desired.stacks for service in stack.services}


@pytest.mark.parametrize(
    "name", sorted(set(yaml.safe_load((EVERYTHING / "compose.yaml").read_text())["services"]) - NOT_TOLD.keys())
)
def test_a_service_that_runs_is_written_as_it_was_asked_for(name: str, asked: DesiredState, got: DesiredState) -> None:
    assert whole(services(got)[name]) == whole(services(asked)[name])


def test_what_looks_secret_is_in_the_operators_file_alone() -> None:
    compose = """
services:
  db:
    image: db:1
    command: [serve, --port, "80", --token, t0ken-of-db, --api-key=k3y-of-db, "http://u:url-of-db@x/", "cost $$5"]
    environment: {DB_PASSWORD: p4ss-of-db, MODE: primary, COST: "5$$", 1TOKEN.x: odd-of-db, EMPTY_SECRET: ""}
    labels: {auth.users: "a:b", proxy.token: label-of-db}
  web:
    image: web:1
    environment: {DB_PASSWORD: p4ss-of-web, OTHER_PASSWORD: p4ss-of-db, DATABASE: "postgres://u:url-of-web@db/x"}
"""
    texts = {
        "shop/compose.yaml": compose,
        "reconciler.yaml": f"api: v1\nname: t\nstacks: {{shop: {{path: shop, project: {PROJECT}}}}}\n",
    }
    settings = LoadSettings("test", policy=Policy(Preset.OPEN))
    asked = load(MemoryFiles({path: text.encode() for path, text in texts.items()}), REVISION, settings)
    found = recovered(asked)
    assert {name: whole(one) for name, one in services(read_back(found)).items()} == {
        name: whole(one) for name, one in services(asked).items()
    }
    assert found.variables == {
        "COMMAND_TOKEN": "t0ken-of-db",
        "COMMAND_API_KEY": "--api-key=k3y-of-db",
        "COMMAND_URL": "http://u:url-of-db@x/",
        "DB_PASSWORD": "p4ss-of-db",
        "_1TOKEN_X": "odd-of-db",
        "PROXY_TOKEN": "label-of-db",
        "WEB_DB_PASSWORD": "p4ss-of-web",
        "OTHER_PASSWORD": "p4ss-of-db",
        "DATABASE": "postgres://u:url-of-web@db/x",
    }
    written = "".join(repository("test", [found]).values())
    assert not [secret for secret in found.variables.values() if secret in written]
    assert "of-db" not in repr(found)


def test_placeholders_declare_nothing() -> None:
    found = Recovered("shop", "", {"DB_PASSWORD": "x"})
    assert repository("test", [found])["stacks/shop/.env"] == (
        "# Declared in the operator's file, under environment.shop:\n# DB_PASSWORD=\n"
    )


def test_projects_are_those_that_nobody_owns_and_that_were_no_single_command() -> None:
    def neighbour(**tags: str) -> Neighbour:
        return Neighbour("id", "name", {f"{labels.COMPOSE}{name}": value for name, value in tags.items()})

    ours = Neighbour("id", "name", {labels.COMPOSE_PROJECT: "ours", labels.ENVIRONMENT: "production"})
    there = (neighbour(project="shop"), neighbour(project="shop"), neighbour(project="run", oneoff="True"), neighbour(), ours)
    assert projects(ObservedState(NOW, neighbours=there)) == ("shop",)


def test_what_the_engine_does_not_tell_is_said(asked: DesiredState) -> None:
    assert (
        "security-profile: its seccomp profile was a file; the engine keeps only the content, and security_opt names files"
        in (recovered(asked).notes)
    )


def test_a_name_that_means_another_image_by_now_is_told(asked: DesiredState) -> None:
    observed = as_composed(assume(asked, NOW, History(HashKey("test", b"test"))))
    other = {reference: replace(image, id="sha256:other") for reference, image in observed.images.items() if image}
    notes = recover(PROJECT, replace(observed, images=other)).notes
    assert "image: busybox:1.36 names another image by now; a plan replaces its containers" in notes


def test_a_container_of_another_name_and_an_external_network_are_kept() -> None:
    instance = Instance(
        id="c" * 64,
        name="the-web",
        labels={labels.COMPOSE_PROJECT: PROJECT, labels.COMPOSE_SERVICE: "web", labels.COMPOSE_NUMBER: "1"},
        phase=Phase.RUNNING,
        detail=json.loads("""{"Config": {"Image": "web:1", "Hostname": "cccccccccccc"}, "HostConfig": {"NetworkMode": "edge"},
            "NetworkSettings": {"Networks": {"edge": {"Aliases": ["web", "the-web", "cccccccccccc"]}}}}"""),
    )
    networks = (ObservedNetwork("n", "edge", {}), ObservedNetwork("o", "elsewhere", {}))
    assert yaml.safe_load(recover(PROJECT, ObservedState(NOW, instances=(instance,), networks=networks)).compose) == {
        "name": PROJECT,
        "services": {"web": {"image": "web:1", "container_name": "the-web", "networks": {"edge": None}}},
        "networks": {"edge": {"external": True, "name": "edge"}},
    }


def test_a_volume_of_others_is_external_where_it_is_mounted_and_no_concern_of_the_project_where_it_is_not() -> None:
    anonymous = "a" * 64
    used = tuple({"Name": name} for name in ("backups", anonymous, "shop_data"))
    web = found("web", mounts=used)
    ours = {labels.COMPOSE_PROJECT: PROJECT, labels.COMPOSE_VOLUME: "data"}
    volumes = [ObservedVolume(name, {}) for name in ("backups", anonymous, "unused")]
    volumes += [
        ObservedVolume(f"{PROJECT}_data", ours, {"Driver": "local"}),
        ObservedVolume("far", {**ours, labels.COMPOSE_VOLUME: "far"}, {"Driver": "nfs"}),
    ]
    volumes += [ObservedVolume("theirs", {**ours, labels.COMPOSE_PROJECT: "other"})]
    written = yaml.safe_load(recover(PROJECT, ObservedState(NOW, instances=(web,), volumes=tuple(volumes))).compose)
    assert written["volumes"] == {
        "backups": {"external": True, "name": "backups"},
        "data": None,
        "far": {"driver": "nfs", "name": "far"},
    }


def test_what_is_not_as_a_file_would_have_it_is_told() -> None:
    there = {"a": ObservedImage("a", ("web:1",)), "b": ObservedImage("b"), "web:1": ObservedImage("a", ("web:1",))}
    web = found("web")
    other = replace(found("web"), id="e" * 64, name="web-2", image_id="b")
    still = replace(found("still"), phase=Phase.EXITED)
    assert recover(PROJECT, ObservedState(NOW, instances=(web, other, still), images=there)).notes == (
        "still: it does not run; a stack that adopts it starts what is not meant to end",
        "web: its containers were made from different images; the file has that of the-web",
    )


def test_a_mount_of_a_kind_without_options_is_written_by_its_places() -> None:
    web = found("web", host={"Mounts": [{"Type": "cluster", "Source": "vault", "Target": "/vault"}]})
    written = yaml.safe_load(recover(PROJECT, ObservedState(NOW, instances=(web,))).compose)
    assert written["services"]["web"]["volumes"] == [{"type": "cluster", "source": "vault", "target": "/vault"}]


def test_of_a_project_that_went_away_meanwhile_the_name_is_left() -> None:
    assert yaml.safe_load(recover(PROJECT, ObservedState(NOW)).compose) == {"name": PROJECT}


def found(service: str, host: Mapping[str, Any] | None = None, mounts: tuple[Mapping[str, Any], ...] = ()) -> Instance:
    return Instance(
        id="c" * 64,
        name=f"the-{service}",
        image_id="a",
        labels={labels.COMPOSE_PROJECT: PROJECT, labels.COMPOSE_SERVICE: service, labels.COMPOSE_NUMBER: "1"},
        phase=Phase.RUNNING,
        detail={"Config": {"Image": "web:1"}, "HostConfig": host or {}, "Mounts": mounts},
    )
