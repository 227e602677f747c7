"""What does a resident say of its turns, and what does it keep to itself?"""

from __future__ import annotations

import io
import json

import jsonschema
import pytest
from memory_place import ENVIRONMENT, MemoryPlace

from reconciler.cli.journal import Journal, Level
from reconciler.cli.schema import texts
from reconciler.errors import Unreachable
from reconciler.resident import Resident

MOST_TURNS = 100


class Desk:
    """A resident and its journal."""

    def __init__(self, place: MemoryPlace, *, as_json: bool = False, least: Level = Level.INFO) -> None:
        self.place = place
        self.written = io.StringIO()
        self.journal = Journal(self.written, place.clock, as_json=as_json, least=least)
        self.resident = Resident(place.reconciler(), self.journal.tell, "us", self.journal.tell_waiting)

    def go_on(self, seconds: float) -> None:
        """Let so much time pass, with every turn that falls due."""
        until = self.place.clock.monotonic() + seconds
        for _ in range(MOST_TURNS):
            self.resident.reconciler.refresh()
            self.place.pass_time(min(1.0, self.resident.turn(("test",))))
            if self.place.clock.monotonic() >= until:
                return

    def news(self) -> list[str]:
        """Return the lines that are new."""
        text = self.written.getvalue()
        self.written.seek(0)
        self.written.truncate()
        return text.splitlines()


def test_a_deployment_is_told_turn_by_turn_and_then_nothing_more(place: MemoryPlace) -> None:
    revision, desk = place.push("web:1"), Desk(place)
    desk.go_on(10)
    assert desk.news() == [
        f"00:00:00 [test] {revision.short} 3 done",
        "  + shop/network/default  shop_default",
        "      does not exist",
        "  + shop/web  1 replica",
        "      not there yet",
        f"00:00:01 [test] {revision.short} shop/web waits until shop-web-1 is healthy",
        f"00:00:03 [test] {revision.short} as Git asks",
    ]
    desk.go_on(60)
    assert desk.news() == []


def test_a_rollout_tells_its_reasons_once(place: MemoryPlace) -> None:
    place.push("web:1")
    desk = Desk(place)
    desk.go_on(10)
    desk.news()
    place.push("web:2")
    desk.go_on(20)
    lines = desk.news()
    assert sum("web:1 → web:2" in line for line in lines) == 1
    assert sum("shop/web" in line for line in lines) == 2, "it begins, and it ends"
    assert lines[-1].endswith("as Git asks")


def test_a_failure_is_told_with_its_error(place: MemoryPlace) -> None:
    place.push("web:missing")
    desk = Desk(place)
    desk.go_on(1)
    assert any(line.startswith("  failed shop/image/web:missing/pull: ") or "web:missing" in line for line in desk.news())


def test_a_wrong_commit_is_told_once(place: MemoryPlace) -> None:
    place.push("web:1")
    desk = Desk(place)
    desk.go_on(10)
    desk.news()
    place.push_files({"compose.yaml": "services: {web: {imagee: x}}\n"})
    desk.go_on(10)
    lines = desk.news()
    assert [line for line in lines if line.startswith("  error:")] == ['  error: compose.yaml:1:18: unknown key "imagee"']


def test_another_holder_is_told_once(place: MemoryPlace) -> None:
    place.push("web:1")
    place.claim("other").take(ENVIRONMENT)
    desk = Desk(place)
    desk.go_on(5)
    assert desk.news() == ["other holds the lease until 00:01:00 UTC; waiting for it"]


def test_as_json_every_turn_is_a_document_on_a_line(place: MemoryPlace) -> None:
    revision, desk = place.push("web:1"), Desk(place, as_json=True)
    desk.go_on(10)
    first, *_, last = map(json.loads, desk.news())
    assert first["done"] == ["shop/network/default/create", "shop/web/1/create", "shop/web/1/start"]
    assert [group["key"] for group in first["groups"]] == ["shop/network/default", "shop/web"]
    assert (first["revision"], first["applied"], last["applied"]) == (revision.id, "", revision.id)


def levels(desk: Desk) -> list[tuple[str, str]]:
    """Return level and event of the new lines, each of which is as the schema says."""
    lines = [json.loads(line) for line in desk.news()]
    for line in lines:
        jsonschema.validate(line, json.loads(texts()["log"]))
    return [(line["level"], line["event"]) for line in lines]


def test_every_event_has_its_level_and_is_as_its_schema_says(place: MemoryPlace) -> None:
    desk = Desk(place, as_json=True)
    desk.journal.tell_trouble(Unreachable("the engine does not answer", hint="is it running?"))
    place.claim("other").take(ENVIRONMENT)
    place.push("web:1")
    desk.go_on(3)
    assert levels(desk) == [("error", "trouble"), ("info", "lease")]
    place.pass_time(60)
    desk.go_on(10)
    assert set(levels(desk)) == {("info", "turn")}
    place.push("web:sick")
    desk.go_on(60)
    assert ("warning", "turn") in levels(desk)
    place.push("web:missing")
    desk.go_on(2)
    assert ("error", "turn") in levels(desk)
    place.push_files({"compose.yaml": "services: {web: {imagee: x}}\n"})
    desk.go_on(2)
    assert levels(desk)[-1] == ("error", "turn")


@pytest.mark.parametrize(("least", "told"), [("info", ["info", "error"]), ("warning", ["error"]), ("error", ["error"])])
def test_what_matters_less_is_left_out(place: MemoryPlace, least: str, told: list[str]) -> None:
    desk = Desk(place, as_json=True, least=Level(least))
    place.claim("other").take(ENVIRONMENT)
    place.push("web:1")
    desk.go_on(3)
    desk.journal.tell_trouble(Unreachable("the engine does not answer"))
    assert [level for level, _ in levels(desk)] == told


@pytest.mark.parametrize("as_json", [False, True])
def test_nobody_plays_with_the_terminal_through_a_log(place: MemoryPlace, as_json: bool) -> None:
    desk = Desk(place, as_json=as_json)
    desk.journal.tell_trouble(Unreachable("\x1b[2J \u202e \x9b2J", hint="\n\x07"))
    place.claim("\x1b[2J\u202e\x9b").take(ENVIRONMENT)
    place.push("web:1")
    desk.go_on(3)
    lines = desk.news()
    assert len(lines) == (2 if as_json else 3)
    assert all(line.isprintable() for line in lines)
