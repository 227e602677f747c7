"""A memory saves the stacks that are as they were, and changes no result."""

from __future__ import annotations

import pytest
from text_repositories import REVISION, TextFiles

from reconciler.errors import InvalidState
from reconciler.load.loading import LoadSettings, load
from reconciler.load.memory import Memory
from reconciler.model.policy import Policy, Preset

REPOSITORY = {
    "reconciler.yaml": "api: v1\nname: production\nstacks: {blog: {path: blog}, shop: {path: shop}}\n",
    "blog/compose.yaml": "services: {web: {image: blog:1}}",
    "shop/compose.yaml": "services: {web: {image: 'shop:$TAG', volumes: ['../shared:/shared:ro']}}",
    "shop/.env": "TAG=1",
    "shared/index.html": "hello",
}
CHANGES = {
    "its compose file": {"shop/compose.yaml": "services: {web: {image: shop:2}}"},
    "its variables": {"shop/.env": "TAG=2"},
    "a file it delivers": {"shared/index.html": "bye"},
    "a new file beside that": {"shared/more.html": "hello"},
    "a new override": {"overrides/shop.yaml": "services: {web: {deploy: {replicas: 2}}}"},
    "its entry": {"reconciler.yaml": REPOSITORY["reconciler.yaml"].replace("{path: shop}", "{path: shop, heal: detect}")},
    "a compose file that wins": {"shop/compose.override.yaml": "services: {web: {image: shop:3}}"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_one_stack_is_seen_and_the_other_is_saved(change: dict[str, str]) -> None:
    memory = Memory()
    before = load(TextFiles(REPOSITORY), REVISION, memory=memory)
    changed = TextFiles({**REPOSITORY, **change})
    after = load(changed, REVISION, memory=memory)
    assert after == load(changed, REVISION)
    assert after.stack("shop") != before.stack("shop")
    assert after.stack("blog") is before.stack("blog")


def test_what_does_not_concern_a_stack_saves_it() -> None:
    memory = Memory()
    before = load(TextFiles(REPOSITORY), REVISION, memory=memory)
    after = load(TextFiles({**REPOSITORY, "README": "hello"}), REVISION, memory=memory)
    assert after.stack("shop") is before.stack("shop")


def test_the_operators_word_is_heard_again() -> None:
    memory = Memory()
    load(TextFiles(REPOSITORY), REVISION, memory=memory)
    told = load(TextFiles(REPOSITORY), REVISION, LoadSettings(environment={"shop": {"TAG": "9"}}), memory)
    assert told.stack("shop").service("web").image == "shop:9"
    with pytest.raises(InvalidState):
        load(TextFiles(REPOSITORY), REVISION, LoadSettings(policy=Policy(Preset.STRICT)), memory)


def test_problems_are_told_again() -> None:
    memory = Memory()
    wrong = TextFiles({**REPOSITORY, "shop/compose.yaml": "services: {web: {imag: shop:1}}"})
    told = []
    for _ in range(2):
        with pytest.raises(InvalidState) as raised:
            load(wrong, REVISION, memory=memory)
        told.append(raised.value.problems)
    assert told[0] == told[1]
