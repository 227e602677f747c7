"""Once everything is as Git asks, does anything make us touch the engine again: the next turn, a lost memory, a new version?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import docker
import pytest
from converging import CountingRuntime, Host, load_openly, nothing_left
from surroundings import remove_environment, remove_labelled

from reconciler.drivers.docker.connection import open_connection
from reconciler.model import labels
from reconciler.model.desired import DesiredState, Service
from reconciler.model.observed import ObservedState
from reconciler.model.plan import Group
from reconciler.model.source import Revision
from reconciler.plan import render
from reconciler.ports import Depth, Files

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "example-repo"
ENVIRONMENT = "p7idempotence"

OWN_NAMES = {
    "name: production": f"name: {ENVIRONMENT}",
    "data: {path: stacks/data}": "data: {path: stacks/data, project: p7idempotence-data}",
    "shop: {path: stacks/shop,": "shop: {path: stacks/shop, project: p7idempotence-shop,",
    "shop-backend": "p7idempotence-backend",
    "WEB_PORT=8088": "WEB_PORT=18088",
}
"""The example repository as another environment, which takes no name or port of a real one."""

COMPOSED = HERE / "composed"
PROJECT = "p7composed"


@pytest.fixture(scope="module")
def settled(engine: docker.APIClient, busybox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The example repository, applied whole."""
    top = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, top / "repository")
    for file in (top / "repository").rglob("*"):
        if file.is_file():
            file.write_text(_renamed(file.read_text()))
    remove_environment(engine, ENVIRONMENT)
    host = Host(top / "repository", top / "state")
    report = host.turn_until(nothing_left, 90)
    assert nothing_left(report), _what_is_left(host)
    yield host
    host.close()
    remove_environment(engine, ENVIRONMENT)


def _renamed(text: str) -> str:
    for old, new in OWN_NAMES.items():
        text = text.replace(old, new)
    return text


def _what_is_left(host: Host) -> str:
    host.reconciler.refresh()
    return render.text(host.reconciler.look().plan, actions=True)


def test_the_next_plan_is_empty(settled: Host) -> None:
    settled.reconciler.refresh()
    assert settled.reconciler.look().plan.empty, _what_is_left(settled)


def test_three_more_turns_change_nothing(settled: Host) -> None:
    assert [settled.changes_of_a_turn() for _ in range(3)] == [[], [], []]


def test_a_restart_changes_nothing(settled: Host) -> None:
    assert Host(settled.directory, settled.state).changes_of_a_turn() == []


def test_a_lost_hash_key_changes_nothing(settled: Host, tmp_path: Path) -> None:
    state = shutil.copytree(settled.state, tmp_path / "state")
    (state / "hash.key").unlink()
    host = Host(settled.directory, state)
    assert host.changes_of_a_turn() == [], _what_is_left(host)


def test_a_lost_state_directory_changes_nothing(settled: Host, tmp_path: Path) -> None:
    host = Host(settled.directory, tmp_path / "new")
    assert host.changes_of_a_turn() == [], _what_is_left(host)


# --- another version of this program ---------------------------------------------------------------------------------


class ElderRuntime(CountingRuntime):
    """The engine, with labels as an older version of this program wrote them."""

    def observe(self, environment: str, adopted: Iterable[str] = (), *, depth: Depth = Depth.LISTED) -> ObservedState:
        """Return what is there, every spec label in a form that nobody knows any more."""
        observed = super().observe(environment, adopted, depth=depth)
        aged = (replace(one, labels={**one.labels, labels.SPEC: "v0:0123"}) for one in observed.instances)
        return replace(observed, instances=tuple(aged))


def test_labels_of_another_version_change_nothing(settled: Host, tmp_path: Path) -> None:
    host = Host(settled.directory, tmp_path / "new", runtime=ElderRuntime())
    assert host.changes_of_a_turn() == [], _what_is_left(host)


@dataclass(frozen=True, slots=True)
class LaterService(Service):
    """What a later version knows of a service: something more, which this repository says nothing about."""

    colour: str = "none"


def test_a_default_that_is_added_to_the_model_changes_nothing(settled: Host) -> None:
    host = Host(settled.directory, settled.state, load=_load_as_a_later_version)
    host.reconciler.refresh()
    look = host.reconciler.look()
    assert {type(service) for stack in look.desired.stacks for service in stack.services} == {LaterService}
    assert look.plan.empty, _what_is_left(host)


def _load_as_a_later_version(files: Files, revision: Revision) -> DesiredState:
    desired = load_openly(files, revision)
    stacks = (replace(stack, services=tuple(_later(one) for one in stack.services)) for stack in desired.stacks)
    return replace(desired, stacks=tuple(stacks))


def _later(service: Service) -> LaterService:
    return LaterService(**{one.name: getattr(service, one.name) for one in fields(service)})


# --- what docker compose made ----------------------------------------------------------------------------------------


@pytest.fixture
def composed(engine: docker.APIClient, busybox_image: str, tmp_path: Path) -> Iterator[Path]:
    """A repository that adopts a project, and the project as docker compose makes it: its own calls, made again."""
    repository = tmp_path / "repository"
    shutil.copytree(COMPOSED, repository / "shop")
    entry = f"{{path: shop, project: {PROJECT}, adopt: [{PROJECT}], host_root: {repository}/shop}}"
    (repository / "reconciler.yaml").write_text(f"api: v1\nname: {ENVIRONMENT}2\nstacks:\n  shop: {entry}\n")
    remove_labelled(engine, f"{labels.COMPOSE_PROJECT}={PROJECT}")
    _call_again((COMPOSED / "calls.json").read_text().replace("@HERE@", f"{repository}/shop"))
    yield repository
    remove_environment(engine, f"{ENVIRONMENT}2")
    remove_labelled(engine, f"{labels.COMPOSE_PROJECT}={PROJECT}")


def _call_again(text: str) -> None:
    """Make recorded calls, with the ids that this engine gives in place of the recorded ones."""
    connection = open_connection(None, 60)
    ids: dict[str, str] = {}
    for call in json.loads(text):
        path, body = (_with(ids, json.dumps(call[part])) for part in ("path", "body"))
        answer = connection.post(json.loads(path), json.loads(body))
        if call["made"]:
            ids[call["made"]] = answer["Id"]


def _with(ids: dict[str, str], text: str) -> str:
    for recorded, given in ids.items():
        text = text.replace(recorded, given)
    return text


def test_a_project_that_docker_compose_made_is_adopted_as_it_is(composed: Path, tmp_path: Path) -> None:
    host = Host(composed, tmp_path / "state")
    host.reconciler.refresh()
    plan = host.reconciler.look().plan
    # docker compose mounts files of the host's checkout; here they come from the commit, so their container is made anew.
    assert {group.key: _attributes(group) for group in plan.groups} == {
        "shop/files": {"volumes", "content of /etc/site.conf", "content of /run/secrets/token"},
    }, _what_is_left(host)


def _attributes(group: Group) -> set[str]:
    return {reason.text for reason in group.reasons}
