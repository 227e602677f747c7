"""Is a transcript read as it is written, and does each command reach the world?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some
from quantities import bytes_of, seconds_of
from revision import changes_of
from stage import Stage
from transcript import Step, TranscriptError, parse, render, replay

TEXT = """\
# For the reader.

turn
  Plan for production

    indented
push a change <<EOF
== a.yaml
key: value

# no comment here
EOF
  pushed
show
"""


def test_a_transcript_is_read_into_commands_with_bodies_and_output() -> None:
    assert [
        (step.words, step.body, step.output) for step in parse(TEXT.replace("\n\n    in", "\n  \n    in")) if step.command
    ] == [
        (["turn"], (), ("Plan for production", "", "  indented")),
        (["push", "a", "change"], ("== a.yaml", "key: value", "", "# no comment here"), ("pushed",)),
        (["show"], (), ()),
    ]


def test_what_is_read_is_written_as_it_was() -> None:
    text = TEXT.replace("\n\n    in", "\n  \n    in")
    assert render(parse(text)) == text


LINES = some.lists(some.text(some.characters(codec="ascii", exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85"), max_size=12))


@given(some.lists(some.tuples(some.sampled_from(["turn", "show", "push x <<EOF"]), LINES, LINES)))
def test_a_replay_that_prints_the_same_writes_the_same(told: list[tuple[str, list[str], list[str]]]) -> None:
    steps = tuple(
        Step(1, command, tuple(line for line in body if line != "EOF") if command.endswith("<<EOF") else (), tuple(output))
        for command, body, output in told
    )
    written = render(steps)
    again = replay(parse(written), lambda step: step.output)
    assert render(again) == written


@pytest.mark.parametrize(("text", "message"), [("  output\n", "line 1: output"), ("turn\npush <<EOF\nx\n", "line 2: no EOF")])
def test_what_cannot_be_read_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(TranscriptError, match=message):
        parse(text)


def test_an_unknown_command_fails_with_its_line() -> None:
    with pytest.raises(AssertionError, match="line 7: there is no command 'dance'"):
        list(Stage().say(Step(7, "dance")))


def test_what_the_engine_refuses_a_person_is_printed() -> None:
    assert list(Stage().say(Step(1, "kill web"))) == ["the engine says: No such container: web"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1h30m", 5400), ("2.5", 2.5), ("-5m", -300), ("250ms", 0.25), ("1d", 86400)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5x", "5 m", "m5"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds_of(text)


@pytest.mark.parametrize(("text", "size"), [("64m", 64 << 20), ("1g", 1 << 30), ("512k", 512 << 10), ("4096", 4096)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert bytes_of(text) == size


def test_a_push_writes_edits_and_removes_files() -> None:
    before = {"b.yaml": "image: web:1\nimage: web:1\n"}
    body = ["== a.yaml", "one:", "  two", "~~ b.yaml", "web:1 => web:2", "-- c.yaml"]
    assert changes_of(body, before.__getitem__) == {
        "a.yaml": b"one:\n  two\n",
        "b.yaml": b"image: web:2\nimage: web:2\n",
        "c.yaml": None,
    }


@pytest.mark.parametrize("body", [["no file"], ["-- a", "line"], ["~~ a", "absent => present"]])
def test_a_push_that_means_nothing_is_refused(body: list[str]) -> None:
    with pytest.raises(ValueError, match=r"belongs to no file|no 'absent'"):
        changes_of(body, {"a": "text"}.__getitem__)
