"""reconciler.yaml is read whole, and every mistake in it is named at its place."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import InvalidState, Problem
from reconciler.load.environment import read_environment
from reconciler.load.needs import MOST_CYCLES, cycles, in_order
from reconciler.load.schedule import cron_mistake
from reconciler.model.desired import PruneMode

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "environment.yaml").read_text())


def said(problem: Problem) -> str:
    place = f"{problem.mark.line}:{problem.mark.column}" if problem.mark else "-"
    return f"{problem.code} {place} {problem.at} | {problem.message} | {problem.hint}".rstrip()


def problems_of(file: str) -> list[str]:
    with pytest.raises(InvalidState) as raised:
        read_environment(file.encode())
    return [said(problem) for problem in raised.value.problems]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_mistake_is_named_at_its_place(case: dict[str, Any]) -> None:
    assert sorted(problems_of(case["file"])) == sorted(case["says"])


def test_what_is_not_said_has_its_default() -> None:
    declared = read_environment(b"api: v1\nname: production\nstacks: {shop: {path: ./stacks/shop/}}")
    environment, shop = declared.environment, (declared.entries or {})["shop"]
    assert (environment.name, environment.interval_seconds) == ("production", 30.0)
    assert (environment.prune.mode, environment.prune.max_ratio, environment.prune.floor) == (PruneMode.AUTO, 0.3, 5)
    assert (shop.path, shop.needs, shop.sync, shop.heal) == ("stacks/shop", (), None, None)


def test_every_key_is_read() -> None:
    declared = read_environment(
        b"""
api: v1
name: production
target: docker
interval: 1m30s
heal: detect
stacks:
  shop:
    path: stacks/shop
    files: compose.yaml
    project: store
    profiles: [blue]
    environment: {LEVEL: debug, WORKERS: 4}
    env_file: [.env, prod.env]
    needs: []
    sync: manual
    windows: {nights: {kind: allow, schedule: "0 22 * * mon-fri", duration: 6h, timezone: Europe/Berlin}}
    adopt: old-shop
    host_root: /srv/shop
    replace_networks: true
    prune_volumes: true
    ignore: [labels.seen]
    unsupported: warn
prune: {mode: confirm, max_delete: 3, confirm: 7f3a, images: false}
write_back: {branch: main, settle: 5m, min_change: 10%}
registry: {type: consul, url: http://consul.example}
alerts: {down: {when: degraded, for: 5m, webhook: https://example.org/hook}}
"""
    )
    shop = (declared.entries or {})["shop"]
    assert declared.environment.interval_seconds == 90.0
    assert (declared.environment.prune.max_ratio, declared.environment.prune.floor) == (0.0, 3)
    assert declared.environment.extensions["alerts"]["down"]["for"] == 300.0
    assert declared.environment.extensions["write_back"]["min_change"] == 0.1
    assert declared.defaults.heal == "detect"
    assert (shop.files, shop.adopt, shop.prune_volumes) == (("compose.yaml",), ("old-shop",), ("*",))
    assert (shop.windows or {})["nights"].duration == 6 * 3600.0


def test_no_message_holds_a_value_of_environment() -> None:
    file = "api: v1\nname: x\nstacks: {shop: {path: a, environment: {PASSWORD: [hunter2]}}}"
    assert "hunter2" not in "".join(problems_of(file))


def test_needs_come_first_and_ties_by_name() -> None:
    needs = {"web": ["api", "data"], "api": ["data"], "data": [], "alone": [], "cache": ["elsewhere"]}
    assert in_order(needs) == ("alone", "cache", "data", "api", "web")


names = st.sampled_from("abcdefgh")


@given(st.dictionaries(names, st.lists(names)))
def test_breaking_the_circles_leaves_an_order(needs: dict[str, list[str]]) -> None:
    for circle in cycles(needs):
        assert all(wanted in needs[name] for name, wanted in zip(circle, (*circle[1:], circle[0]), strict=True))
        assert circle[0] == min(circle)
    broken = {(circle[-1], circle[0]) for circle in cycles(needs)}
    left = {name: [one for one in wanted if (name, one) not in broken] for name, wanted in needs.items()}
    if len(broken) < MOST_CYCLES:
        order = in_order(left)
        assert sorted(order) == sorted(needs)
        assert all(order.index(one) < order.index(name) for name, wanted in left.items() for one in wanted if one in needs)


def test_a_long_chain_of_needs_is_no_deep_recursion() -> None:
    chain = {f"s{number:05}": [f"s{number + 1:05}"] for number in range(20_000)}
    assert in_order(chain)[0] == "s19999"
    assert len(cycles({**chain, "s20000": ["s00000"]})[0]) == 20_001


@given(st.text(alphabet="0123456789*/,- adfjmnostuw", max_size=30))
def test_any_text_is_a_schedule_or_is_told_why_not(text: str) -> None:
    assert isinstance(cron_mistake(text), str)


@given(st.binary(max_size=200) | st.text(alphabet="api:v1nmestck{}[]\n -", max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidState):
        read_environment(data)


@pytest.mark.parametrize("author", ["reconciler", "reconciler <>", "a\\nb <c@d>", "a <b c>"])
def test_an_author_needs_a_name_and_an_address(author: str) -> None:
    text = f'api: v1\nname: a\nstacks: auto\nwrite_back: {{author: "{author}"}}\n'
    with pytest.raises(InvalidState, match="author: expected a name and an address"):
        read_environment(text.encode())
