"""Are the logs of all replicas joined in order of time, each line with its container's name?"""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime

import pytest
from reader import Place, Reader
from transcript import parse

from reconciler.cli.logs import Crew, Follower, Printer, lines
from reconciler.cli.sight import Lookout
from reconciler.errors import Unreachable, UsageError
from reconciler.ports import LogLine

TWO_SERVICES = """\
push first <<EOF
== compose.yaml
name: shop
services:
  web:
    image: web:1
    deploy: {replicas: 2}
  db:
    image: db:1
EOF
settle
"""


@pytest.fixture
def stage() -> Reader:
    stage = Reader()
    stage.world.image("web:1", logs=(("stdout", "hello"), ("stderr", "oops")))
    stage.world.image("db:1", logs=(("stdout", "ready"),))
    play(stage, TWO_SERVICES)
    return stage


def play(stage: Reader, text: str) -> None:
    for step in parse(text):
        list(stage.say(step))


def crew(stage: Reader, *targets: str) -> Crew:
    return Crew.of(Lookout(Place(stage)), targets)


def printed(stage: Reader, *targets: str, tail: int | None = None) -> list[str]:
    out, chosen = io.StringIO(), crew(stage, *targets)
    members = chosen.members()
    printer = Printer(out, members.values())
    for line in lines(chosen, members, tail):
        printer(line)
    return out.getvalue().splitlines()


def test_every_replica_speaks_under_its_own_name(stage: Reader) -> None:
    assert printed(stage, "shop/web") == [
        "shop-web-1 | hello",
        "shop-web-1 | oops",
        "shop-web-2 | hello",
        "shop-web-2 | oops",
    ]


def test_a_stack_means_all_of_its_services_and_names_are_aligned(stage: Reader) -> None:
    assert printed(stage, "shop", tail=1) == ["shop-db-1  | ready", "shop-web-1 | oops", "shop-web-2 | oops"]


def test_one_container_can_be_named(stage: Reader) -> None:
    assert printed(stage, "shop-web-2", tail=1) == ["shop-web-2 | oops"]


def test_a_service_that_git_no_longer_has_can_still_be_read(stage: Reader) -> None:
    play(stage, "push less <<EOF\n== compose.yaml\nname: shop\nservices: {web: {image: web:1}}\nEOF\n")
    assert printed(stage, "shop/db") == ["shop-db-1 | ready"]


def test_an_unknown_service_is_refused_with_the_known_ones(stage: Reader) -> None:
    with pytest.raises(UsageError, match="no container of shop/wob") as refused:
        crew(stage, "shop/wob").members()
    assert refused.value.hint == "services with containers: shop/db, shop/web"


def test_an_engine_that_is_away_is_said(stage: Reader) -> None:
    play(stage, "engine down\n")
    with pytest.raises(Unreachable):
        crew(stage, "shop/web").members()


class Speaker:
    """An engine of which only the logs are asked: the same container speaks, ends, and is started again.

    Each life is what it says, and in which second.
    """

    def __init__(self, *lives: dict[str, int]) -> None:
        self.lives = list(lives)
        self.asked: list[int | None] = []
        self.ended = threading.Event()

    def logs(self, instance: str, *, follow: bool = False, tail: int | None = None):  # type: ignore[no-untyped-def]
        self.asked.append(tail)
        for text, second in self.lives.pop(0).items():
            yield LogLine(instance, datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC), "stdout", text)
        self.ended.set()


def test_a_container_that_comes_back_is_read_on_from_where_it_ended() -> None:
    speaker = Speaker({"one": 0, "two": 1}, {"one": 0, "two": 1, "three": 2})
    follower = Follower(speaker, tail=2)  # type: ignore[arg-type]
    heard = []
    for count in (2, 1):
        follower.attend({"id": "web-1"})
        heard += [follower.lines.get(timeout=10)[1].text for _ in range(count)]
        for thread in threading.enumerate():
            if thread.name == "log of web-1":
                thread.join(10)
    assert heard == ["one", "two", "three"]
    assert speaker.asked == [2, None]


def test_a_line_that_comes_after_a_later_one_of_the_other_stream_is_heard() -> None:
    follower = Follower(Speaker({"oops": 1, "hello": 0}), tail=None)  # type: ignore[arg-type]
    follower.attend({"id": "web-1"})
    assert [follower.lines.get(timeout=10)[1].text for _ in range(2)] == ["oops", "hello"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("over\rwritten", "over\\rwritten"),
        ("tab\tand ünïcode €", "tab\tand ünïcode €"),
    ],
)
def test_a_log_cannot_play_with_the_terminal(monkeypatch: pytest.MonkeyPatch, written: str, shown: str) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal, pipe = Terminal(), io.StringIO()
    line = LogLine("id", None, "stdout", written)
    Printer(terminal, ())(("web-1", line))
    Printer(pipe, ())(("web-1", line))
    assert terminal.getvalue() == f"{shown}\n"
    assert pipe.getvalue() == f"{written}\n"


def test_each_container_has_its_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    printer = Printer(terminal, ("a", "bb"), timestamps=True)
    printer(("bb", LogLine("id", datetime(2026, 1, 1, tzinfo=UTC), "stdout", "hi")))
    assert terminal.getvalue() == "\x1b[33mbb |\x1b[0m 2026-01-01 00:00:00Z hi\n"
