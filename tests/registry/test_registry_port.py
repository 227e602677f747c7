"""Does every registry that somebody else runs keep the port's promises: in memory, a Consul's agent, our own face?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fake_agent import FakeAgent
from shelf import ADDRESS, TOKEN, filled, web

from reconciler.api.consul import consul
from reconciler.api.http import Answer, serving, words
from reconciler.drivers.clock import VirtualClock
from reconciler.drivers.consul import SILENCE_SECONDS, ConsulRegistry
from reconciler.drivers.memory.discovery import MemoryRegistry
from reconciler.errors import Refused, Unreachable
from reconciler.model.catalog import ENVIRONMENT, Entry, Standing
from reconciler.ports import Registry


@pytest.fixture(params=["memory", "agent", "own face"])
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    if request.param == "memory":
        yield MemoryRegistry(ADDRESS)
        return
    respond = FakeAgent(TOKEN).respond if request.param == "agent" else consul(filled(), TOKEN)
    with serving("127.0.0.1:0", respond) as server:
        yield ConsulRegistry(f"http://127.0.0.1:{server.server_address[1]}", VirtualClock(), ADDRESS, TOKEN)


def told(registry: Registry, environment: str = "test") -> list[Entry]:
    """What it says, without what only we know."""
    found = registry.entries(environment)
    return sorted((replace(entry, instance="") for entry in found), key=lambda entry: entry.id)


def entry(number: int, standing: Standing = Standing.PASSING, **said: object) -> Entry:
    return replace(web(number, standing, **said), instance="")


def test_what_is_registered_is_there_as_it_was_told(registry: Registry) -> None:
    assert told(registry) == []
    for one in (entry(1), entry(2, Standing.CRITICAL, tags=(), port=9000)):
        registry.register(one)
    assert told(registry) == [entry(1), entry(2, Standing.CRITICAL, tags=(), port=9000)]


def test_registering_again_changes_everything_also_the_standing(registry: Registry) -> None:
    registry.register(entry(1))
    changed = replace(entry(1, Standing.CRITICAL, port=9000, tags=("green",)), output="is about to stop")
    registry.register(changed)
    assert told(registry) == [changed]
    registry.register(entry(1))
    assert told(registry) == [entry(1)]


def test_what_is_deregistered_is_gone_and_may_be_gone_already(registry: Registry) -> None:
    registry.register(entry(1))
    registry.deregister("web-1")
    registry.deregister("web-1")
    assert told(registry) == []


def test_entries_of_another_environment_are_nobody_elses(registry: Registry) -> None:
    registry.register(entry(1))
    registry.register(entry(2, meta={**entry(2).meta, ENVIRONMENT: "another"}))
    assert [one.id for one in told(registry)] == ["web-1"]
    assert [one.id for one in told(registry, "another")] == ["web-2"]


def test_its_own_address_is_said(registry: Registry) -> None:
    assert registry.address == ADDRESS


# --- a Consul alone --------------------------------------------------------------------------------------------------


def test_a_wrong_token_is_refused_and_never_said() -> None:
    with serving("127.0.0.1:0", FakeAgent(TOKEN).respond) as server:
        registry = ConsulRegistry(f"http://127.0.0.1:{server.server_address[1]}", VirtualClock(), token="hunter2")
        with pytest.raises(Refused, match="403 Permission denied") as refused:
            registry.register(entry(1))
    assert "credentials.consul" in refused.value.hint
    assert "hunter2" not in f"{refused.value}{refused.value.hint}{registry}"


@pytest.mark.parametrize("answer", [words(500, "No cluster leader"), Answer(200, b"<html>")])  # type: ignore[arg-type]
def test_nonsense_and_a_cluster_without_leader_are_silence(answer: Answer) -> None:
    with serving("127.0.0.1:0", lambda request: answer) as server:
        registry = ConsulRegistry(f"http://127.0.0.1:{server.server_address[1]}", VirtualClock())
        with pytest.raises(Unreachable):
            registry.entries("test")


def test_who_did_not_answer_is_left_alone_for_a_while() -> None:
    clock, agent = VirtualClock(), FakeAgent()
    with serving("127.0.0.1:0", agent.respond) as server:
        address = f"127.0.0.1:{server.server_address[1]}"
    registry = ConsulRegistry(f"http://{address}", clock)
    with pytest.raises(Unreachable, match="does not answer"):
        registry.entries("test")
    with serving(address, agent.respond):
        with pytest.raises(Unreachable, match="did not answer lately"):
            registry.entries("test")
        clock.advance(SILENCE_SECONDS)
        assert registry.entries("test") == ()
