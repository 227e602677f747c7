"""What is asked of the engine and of image registries beyond the first look?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from printed import KEY, NEW, NOW, desired_state, new_id, situation

from reconciler.model.history import History
from reconciler.model.observed import Questions
from reconciler.plan.questions import ask_registry, questions

FILES = "configs: [{source: settings, target: /etc/settings}]"
COMPOSE = f"""
services:
  web: {{image: web:1, {FILES}}}
  api: {{image: api:1, {FILES}}}
configs: {{settings: {{content: a}}}}
"""


def asked(case: Mapping[str, Any]) -> Questions:
    """Return what is asked where a case is what the first look saw."""
    desired, observed, history, previous = situation({"given": COMPOSE, **case})
    return questions(desired, replace(observed, neighbours=None), history, previous)


def test_nothing_is_asked_where_everything_is_as_its_label_says() -> None:
    assert not asked({})


def test_what_images_are_called_is_asked_first() -> None:
    desired, observed, history, previous = situation({"given": COMPOSE, "but": {"shop-web-1": "gone"}})
    unknown = replace(observed, images={}, neighbours=None)
    assert questions(desired, unknown, history, previous) == Questions(frozenset({"web:1", "api:1"}))


def test_of_a_container_of_unknown_spec_its_files_are_read_back() -> None:
    found = asked({"key": "lost", "contents": {"shop-web-1": {"/etc/settings": "known"}}})
    assert [path for _, path in found.contents] == ["/etc/settings"]
    assert not found.images


def test_of_a_container_of_unknown_spec_the_image_it_was_made_from_is_looked_up() -> None:
    found = asked({"but": {"shop-web-1": {"image": "web:0"}}})
    assert found.images == {new_id("web:0")}


def test_of_a_container_that_is_as_its_label_says_no_image_is_looked_up_beside_one_that_is_not() -> None:
    wanted = COMPOSE.replace("image: web:1", "image: web:1, deploy: {replicas: 2}")
    found = asked({"given": wanted, "but": {"shop-web-2": {"image": "web:0"}}, "absent images": ["web:1"]})
    assert found.images == {new_id("web:0")}


@pytest.mark.parametrize(
    ("but", "is_asked"),
    [("gone", True), ({"name": "other"}, True), ({"phase": "exited", "exit": 1}, False), ({"phase": "paused"}, False)],
)
def test_whose_names_and_ports_others_have_is_asked_where_a_container_is_made_or_renamed(but: Any, is_asked: bool) -> None:
    assert asked({"but": {"shop-web-1": but}}).neighbours is is_asked


def test_what_was_answered_is_not_asked_again() -> None:
    desired, observed, history, previous = situation({"given": COMPOSE, "but": {"shop-web-1": "gone"}})
    assert not questions(desired, observed, history, previous)


ALWAYS = desired_state("services: {web: {image: web:1, pull_policy: always}, api: {image: api:1}}", NEW)


@pytest.mark.parametrize(
    ("applied", "ago", "is_asked"),
    [
        ("", timedelta(0), True),
        (NEW, None, True),
        (NEW, timedelta(minutes=59), False),
        (NEW, timedelta(minutes=60), True),
        (NEW, -timedelta(minutes=59), False),
        (NEW, -timedelta(hours=2), True),
    ],
)
def test_a_registry_is_asked_for_a_new_revision_and_every_hour(applied: str, ago: timedelta | None, is_asked: bool) -> None:
    """Also when it was asked in the future: the clock was set back since."""
    history = History(KEY, applied=applied, asked={} if ago is None else {"web:1": NOW - ago})
    assert ask_registry(ALWAYS, history, NOW) == (frozenset({"web:1"}) if is_asked else frozenset())
