"""Whatever docker compose accepts and we do not refuse: once it is applied, is there nothing left to do?

Every document becomes a stack and is brought onto the engine, several side by side. Then nothing may be planned, neither
with the hashes of the labels nor with a new key that proves none of them, so that every field is compared with what the
engine holds. conformance_exclusions.yaml names each document that never gets there, with our error code or what is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import docker
import pytest
import yaml
from conformance_documents import Document, accepted_documents
from converging import Host, nothing_to_do
from docker.utils import version_lt
from surroundings import build_image, remove_environment, remove_labelled

from reconciler.drivers.directory import FolderSource
from reconciler.errors import InvalidState, Severity
from reconciler.load.loading import LoadSettings, load
from reconciler.model.desired import Network, Stack, Volume
from reconciler.model.plan import Change
from reconciler.model.policy import Policy, Preset
from reconciler.model.spec import live_document, spec_document
from reconciler.model.status import Report

HERE = Path(__file__).parent
ENVIRONMENT = "p7documents"
ALONE = "alone"
EXCLUSIONS: Mapping[str, Mapping[str, str]] = yaml.safe_load((HERE / "conformance_exclusions.yaml").read_text())
DOCUMENTS = {f"d{number}": document for number, document in enumerate(accepted_documents())}


def _excluded(*sections: str) -> dict[str, str]:
    """Return the reason of each document in the sections, by stack."""
    reasons = {name: reason for section in sections for name, reason in EXCLUSIONS[section].items()}
    return {stack: reasons[one.name] for stack, one in DOCUMENTS.items() if one.name in reasons}


FAILING, NEWER, ELSEWHERE = _excluded("refused", "never"), _excluded("newer"), _excluded("machine")
APPLIED = [stack for stack in DOCUMENTS if stack not in FAILING | NEWER | ELSEWHERE]

STACKS, CONTAINERS = 14, 60
"""How many stand on the engine at once: each stack has a network, and an engine has addresses for about thirty."""

SETTLE_SECONDS = 400.0
FAILING_TURNS = 3

STANDS_IN = f"{ENVIRONMENT}/anything:1"
STANDING_IN = {"stands-in": ENVIRONMENT}
"""The label of all that is made for the documents to find."""
RECIPE = r"""
FROM BASE
LABEL stands-in=p7documents
RUN for name in a x curl pg_isready redis-cli; do printf '#!/bin/sh\n' > /bin/$name; chmod +x /bin/$name; done; \
    printf 'root:x:0:0::/:\nu:x:1:1::/:\nw:x:2:2::/:\n' > /etc/passwd; printf 'a:x:1:\nb:x:2:\nmail:x:3:\n' > /etc/group
ENTRYPOINT ["sh", "-c", "trap 'exit 0' TERM; sleep 9999 & wait"]
CMD ["sleep", "9999"]
"""
"""Under every name that is asked for: it runs whatever command it is given, and has the programs of the health checks."""


@dataclass
class Result:
    """What became of a document.

    refused  our error codes, or what was said where it does not come to rest; "" when everything it asks for is there
    again    what the next plan would do
    keyless  what the next plan would do with a new key
    """

    refused: str = ""
    again: list[str] = field(default_factory=list)
    keyless: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What became of all documents, by stack; how many were applied, and what was asked of the engine after that."""

    results: Mapping[str, Result]
    distinct: int
    changes: list[Change]


@pytest.fixture(scope="module")
def outcome(engine: docker.APIClient, busybox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    stacks, refused = _loaded(tmp_path_factory.mktemp("alone"))
    like = _like(stacks)
    distinct = {name: stacks[name] for name in like.values() if name not in ELSEWHERE}
    _remove_images(engine)
    _make_images(engine, busybox_image, distinct)
    results: dict[str, Result] = {}
    changes: list[Change] = []
    for group in _groups(distinct):
        with _clean(engine, [stacks[name] for name in group]):
            found, asked = _applied(tmp_path_factory.mktemp("host"), group)
        results.update(found)
        changes.extend(asked)
    _remove_images(engine)
    outcomes = {name: results[first] for name, first in like.items() if first in results}
    outcomes |= {name: Result(codes) for name, codes in refused.items()}
    return Outcome(outcomes, len(distinct.keys() - FAILING.keys()), changes)


def _name(stack: str) -> str:
    return DOCUMENTS[stack].name


@pytest.mark.parametrize("stack", APPLIED, ids=_name)
def test_an_applied_document_leaves_nothing_to_do(stack: str, outcome: Outcome) -> None:
    assert outcome.results[stack] == Result()


@pytest.mark.parametrize("stack", NEWER, ids=_name)
def test_what_newer_engines_have_is_said_on_older_ones(stack: str, outcome: Outcome, engine: docker.APIClient) -> None:
    result, older = outcome.results[stack], version_lt(engine.version()["ApiVersion"], NEWER[stack])
    assert {line.split()[0] for line in result.refused.splitlines()} == ({"R138"} if older else set()), result.refused
    assert (result.again, result.keyless) == ([], [])


@pytest.mark.parametrize("stack", FAILING, ids=_name)
def test_an_excluded_document_fails_for_the_reason_that_is_written_down(stack: str, outcome: Outcome) -> None:
    refused = outcome.results[stack].refused
    assert any(reason in refused for reason in FAILING[stack].split(" | ")), refused


def test_a_turn_with_everything_applied_asks_no_change_of_the_engine(outcome: Outcome) -> None:
    assert outcome.changes == []


def test_most_documents_are_applied(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    excluded = {**FAILING, **{stack: f"the machine: {reason}" for stack, reason in ELSEWHERE.items()}}
    applied = len(DOCUMENTS) - len(excluded)
    with capsys.disabled():
        print(f"\n{len(DOCUMENTS)} documents: {applied} applied, {outcome.distinct} of them unlike any other")
        print(f"{len(excluded)} are excluded:")
        print("\n".join(f"  {count:3} {reason}" for reason, count in Counter(excluded.values()).most_common()))
    assert outcome.distinct >= 200


def test_every_exclusion_is_about_one_document() -> None:
    listed = [name for section in EXCLUSIONS.values() for name in section]
    assert sorted(listed) == sorted(_name(stack) for stack in (*FAILING, *NEWER, *ELSEWHERE))


# --- alone: what is refused, what asks for the same, and what claims something for itself ---------------------------------


def _loaded(top: Path) -> tuple[dict[str, Stack], dict[str, str]]:
    """Load every document as a stack called `alone`; return those that load, and the error codes of the others."""
    stacks: dict[str, Stack] = {}
    refused: dict[str, str] = {}
    for name, document in DOCUMENTS.items():
        try:
            stacks[name] = _load_alone(top / "alone", document)
        except InvalidState as invalid:
            codes = {problem.code for problem in invalid.problems if problem.severity is Severity.ERROR}
            refused[name] = " ".join(sorted(codes))
    return stacks, refused


def _load_alone(directory: Path, document: Document) -> Stack:
    _write(directory, {ALONE: document})
    source = FolderSource(directory)
    revision = source.fetch()
    try:
        return load(source.files(revision.id), revision, LoadSettings(policy=Policy(Preset.OPEN))).stack(ALONE)
    finally:
        rmtree(directory)


def _like(stacks: Mapping[str, Stack]) -> dict[str, str]:
    """Return for each document the first that asks the same of an engine."""
    first: dict[str, str] = {}
    return {name: first.setdefault(_asked(stack), name) for name, stack in stacks.items()}


def _asked(stack: Stack) -> str:
    services = [
        (one.name, spec_document(one), live_document(one), one.networks, one.replicas, one.container_name, one.depends_on)
        for one in stack.services
    ]
    return repr((services, [(one.name, one.external, one.payload) for one in _resources(stack)]))


def _write(directory: Path, documents: Mapping[str, Document]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    entries = {stack: document.write(directory, stack) for stack, document in documents.items()}
    (directory / "reconciler.yaml").write_text(yaml.safe_dump({"api": "v1", "name": ENVIRONMENT, "stacks": entries}))


def _groups(wishes: Mapping[str, Stack]) -> Iterator[tuple[str, ...]]:
    """Part the stacks into groups that can stand side by side; those that are expected to fail stay among themselves."""
    for failing in (False, True):
        waiting = {name: stack for name, stack in wishes.items() if (name in FAILING) is failing}
        while waiting:
            group: list[str] = []
            claimed: set[str] = set()
            containers = 0
            for name, stack in waiting.items():
                size, claims = sum(service.replicas for service in stack.services), _claims(stack)
                if not group or (len(group) < STACKS and containers + size <= CONTAINERS and not claims & claimed):
                    group.append(name)
                    claimed |= claims
                    containers += size
            yield tuple(group)
            waiting = {name: stack for name, stack in waiting.items() if name not in group}


def _claims(stack: Stack) -> set[str]:
    """What only one stack of an engine may have: names it chose itself, ports of the host, ranges of addresses."""
    resources = {f"{type(one).__name__} {one.name}" for one in _resources(stack)}
    addresses = {"addresses" for one in stack.networks if one.payload.get("IPAM")}
    names = {f"container {one.container_name}" for one in stack.services if one.container_name}
    bindings = [one.container.get("HostConfig", {}).get("PortBindings") or {} for one in stack.services]
    ports = {f"port {bound['HostPort']}" for one in bindings for ends in one.values() for bound in ends if bound["HostPort"]}
    return {one for one in resources if f" {ALONE}_" not in one} | addresses | names | ports


def _resources(stack: Stack) -> tuple[Network | Volume, ...]:
    return (*stack.networks, *stack.volumes)


# --- together, on the engine ------------------------------------------------------------------------------------------


def _make_images(engine: docker.APIClient, base: str, stacks: Mapping[str, Stack]) -> None:
    """Give every image that is named and not there something to run."""
    named = {service.image.replace(ALONE, name) for name, stack in stacks.items() for service in stack.services}
    missing = sorted(reference for reference in named if not engine.images(reference))
    build_image(engine, STANDS_IN, RECIPE.replace("BASE", base))
    for reference in missing:
        engine.tag(STANDS_IN, *_repository_and_tag(reference))


def _remove_images(engine: docker.APIClient) -> None:
    """Remove what stands in for images, under all its names, also where a run was cut short."""
    for image in engine.images(filters={"label": f"stands-in={ENVIRONMENT}"}):
        names = [name for name in image["RepoTags"] or () if name != "<none>:<none>"]
        for name in names or [image["Id"]]:
            engine.remove_image(name)


def _repository_and_tag(reference: str) -> tuple[str, str]:
    repository, colon, tag = reference.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (reference, "latest")


@contextmanager
def _clean(engine: docker.APIClient, stacks: Iterable[Stack]) -> Iterator[None]:
    """Have an engine with nothing of ours, and with what the stacks expect of others; leave it so."""
    _remove_all(engine)
    others = [one for stack in stacks for one in _resources(stack) if one.external]
    for name in sorted({one.name for one in others if isinstance(one, Network)} - {"bridge"}):
        engine.create_network(name, labels=STANDING_IN)
    for name in {one.name for one in others if isinstance(one, Volume)}:
        engine.create_volume(name, labels=STANDING_IN)
    yield
    _remove_all(engine)


def _remove_all(engine: docker.APIClient) -> None:
    """Remove what is ours, and what stands in for others: also what an interrupted run left behind."""
    remove_environment(engine, ENVIRONMENT)
    for label, value in STANDING_IN.items():
        remove_labelled(engine, f"{label}={value}")


def _applied(top: Path, group: tuple[str, ...]) -> tuple[dict[str, Result], list[Change]]:
    """Apply a group of stacks; return what became of each, and what is asked of the engine after that."""
    _write(top / "repository", {name: DOCUMENTS[name] for name in group})
    failing = group[0] in FAILING
    host = Host(top / "repository", top / "state")
    report, said = _settled(host, failing=failing)
    results = {name: Result(refused) for name, refused in _refusals(report, said, group).items()}
    if failing:
        host.close()
        return results, []
    for name, action in _planned(host):
        results[name].again.append(action)
    changes = host.changes_of_a_turn()
    (top / "state" / "hash.key").unlink()
    host = host.restarted()
    for name, action in _planned(host):
        results[name].keyless.append(action)
    changes += host.changes_of_a_turn()
    host.close()
    return results, changes


def _settled(host: Host, *, failing: bool) -> tuple[Report, dict[str, list[str]]]:
    """Turn until all is there; return the last report, and what the engine said against each stack."""
    said: dict[str, list[str]] = {}
    turns = 0

    def done(report: Report) -> bool:
        nonlocal turns
        turns += 1
        for outcome in report.outcomes:
            said.setdefault(outcome.action.partition("/")[0], []).append(outcome.error)
        return nothing_to_do(report, but="R138") or (failing and turns >= FAILING_TURNS)

    return host.turn_until(done, SETTLE_SECONDS), said


def _refusals(report: Report, said: Mapping[str, Iterable[str]], group: Iterable[str]) -> dict[str, str]:
    assert report.plan, report.error
    held = {name: [error for error in said.get(name, ()) if error] for name in group}
    for blocked in report.plan.blocked:
        held[blocked.group.partition("/")[0]].append(f"{blocked.code} {blocked.message}")
    for waiting in report.plan.waiting:
        if not waiting.what.startswith("see "):
            held[waiting.group.partition("/")[0]].append(f"{waiting.what}: waits for {waiting.on}")
    return {name: "\n".join(words) for name, words in held.items()}


def _planned(host: Host) -> Iterator[tuple[str, str]]:
    """Yield what the next turn would do: the stack, the action with its reasons."""
    host.reconciler.refresh()
    for action in host.reconciler.look().plan.actions:
        reasons = "; ".join(f"{one.text} {one.old} → {one.new}" for one in action.reasons)
        yield action.group.partition("/")[0], f"{action.id}: {reasons}"
