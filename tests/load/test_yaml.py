"""Does the YAML layer read what Compose reads, and refuse the rest with its place?"""

from __future__ import annotations

from contextlib import suppress
from time import process_time
from typing import Any

import pytest
from conformance_tables import fuzzed, table, wanted
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import InvalidState, Mark
from reconciler.load.node import marks, plain
from reconciler.load.scalars import render
from reconciler.load.yaml import parse

YAML_PIECES = [
    *("a: ", "b", "- ", "\n", "\n  ", "\n    ", "&x ", "*x", "<<: ", "!reset ", "!!int ", "'", '"', "|\n", ">-\n", "[", "]"),
    *("{", "}", ", ", "? ", ": ", "# c\n", "---\n", "...\n", "%YAML 1.1\n", "1", "2001-01-01", "~", "\t", "\\", "é"),
]


def only(text: str) -> object:
    (node,) = parse(text.encode(), "compose.yaml")
    return plain(node)


def codes(text: str) -> list[str]:
    with pytest.raises(InvalidState) as caught:
        parse(text.encode(), "compose.yaml")
    return [problem.code for problem in caught.value.problems]


def test_every_value_knows_where_it_and_its_key_stand() -> None:
    (node,) = parse(b"services:\n  web:\n    ports: [80, 81]\n", "a/compose.yaml")
    places = {".".join(map(str, path)): (mark.line, mark.column) for path, mark in marks(node)}
    assert places == {
        "": (1, 1),
        "services": (1, 1),
        "services.web": (2, 3),
        "services.web.ports": (3, 5),
        "services.web.ports.0": (3, 13),
        "services.web.ports.1": (3, 17),
    }


def test_columns_count_characters_and_not_bytes() -> None:
    (node,) = parse("'ä': ß".encode(), "c.yaml")
    assert isinstance(node.value, dict)
    assert node.value["ä"].mark == Mark("c.yaml", 1, 6)


def test_an_empty_file_has_no_document_and_a_marker_alone_has_an_empty_one() -> None:
    assert parse(b"", "c.yaml") == parse(b"# only a comment\n", "c.yaml") == ()
    assert only("---\n") is None


def test_a_byte_order_mark_is_welcome() -> None:
    assert plain(parse(b"\xef\xbb\xbfa: 1", "c.yaml")[0]) == {"a": 1}
    assert parse(b"\xef\xbb\xbfa: 1", "c.yaml")[0].mark.column == 1


def test_own_keys_win_over_merged_ones_and_earlier_sources_over_later() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], c: 3}\nw: {a: 9, <<: *x}\n"
    result = only(text)
    assert isinstance(result, dict)
    assert result["z"] == {"a": 1, "b": 1, "c": 3}
    assert result["w"] == {"a": 9, "b": 1}


def test_a_merge_key_in_quotes_is_an_ordinary_key() -> None:
    assert only("'<<': {a: 1}") == {"<<": {"a": 1}}


def test_an_anchor_lives_on_in_the_next_document() -> None:
    assert [plain(node) for node in parse(b"a: &x 1\n---\nb: *x\n", "c.yaml")] == [{"a": 1}, {"b": 1}]


def test_an_aliased_value_keeps_its_own_place_under_the_key_that_uses_it() -> None:
    (node,) = parse(b"a: &x 1\nb: *x\n", "c.yaml")
    assert isinstance(node.value, dict)
    assert (node.value["b"].mark.line, node.value["b"].where.line) == (1, 2)


def test_reset_and_override_stay_on_the_node() -> None:
    (node,) = parse(b"a: !reset [1]\nb: !override {c: 1}\nc: !override 3\n", "c.yaml")
    assert isinstance(node.value, dict)
    assert [(child.tag, plain(child)) for child in node.value.values()] == [
        ("!reset", [1]),
        ("!override", {"c": 1}),
        ("!override", "3"),
    ]


def test_all_problems_come_in_one_run_even_before_broken_syntax() -> None:
    assert codes("a: 1\na: 2\n1: x\nb: 2001-12-14\nc: !foo 1\nd: *no\n  e: [") == [
        "R004",
        "R020",
        "R021",
        "R005",
        "R006",
        "R003",
    ]


@pytest.mark.parametrize("row", [*table("yaml-scalars"), *table("own-yaml-scalars")], ids=lambda row: row["scalar"])
def test_a_scalar_means_what_it_means_to_compose(row: dict[str, Any]) -> None:
    if row["error"]:
        assert codes(f"v: {row['scalar']}\n") == ["R021"] if row["error"] == "date" else codes(f"v: {row['scalar']}\n")
        return
    (node,) = parse(f"v: {row['scalar']}\n".encode(), "c.yaml")
    assert isinstance(node.value, dict)
    value = node.value["v"].value
    assert not isinstance(value, dict | list)
    assert render(value) == row["expect"]


@pytest.mark.parametrize("row", table("own-yaml"), ids=lambda row: row["case"])
def test_a_document_says_what_it_says_to_compose(row: dict[str, Any]) -> None:
    if wanted(row) == "error":
        codes(row["text"])
        return
    found: dict[str, object] = {}
    for node in parse(row["text"].encode(), "compose.yaml"):
        found |= plain(node)
    assert {name: value for name, value in found.items() if name.startswith("x-")} == wanted(row)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_only_utf8_is_read(encoding: str) -> None:
    with pytest.raises(InvalidState):
        parse("a: é\n".encode(encoding), "c.yaml")


@fuzzed
@given(
    st.one_of(
        st.binary(),
        st.text().map(str.encode),
        st.text(alphabet="ab:-[]{}&*!|>'\"%@`#?, \n\t<").map(str.encode),
        st.lists(st.sampled_from(YAML_PIECES)).map("".join).map(str.encode),
    )
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(InvalidState):
        documents = parse(data, "c.yaml")
        assert all(mark.line for document in documents for _, mark in marks(document))


def test_a_realistic_file_of_200_kilobytes_is_read_in_a_quarter_of_a_second() -> None:
    service = (
        "  s{0}:\n    image: nginx:1.{0}\n    environment:\n      A: 'b'\n      C: ${{X}}\n    ports:\n      - \"{0}:80\"\n"
    )
    data = ("services:\n" + "".join(service.format(number) for number in range(1950))).encode()
    assert len(data) > 200_000
    started = process_time()
    parse(data, "compose.yaml")
    assert process_time() - started < 0.75, "three times the budget, for machines slower than this one"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a:\n\tb: 1\n", (2, 1), "a tab used for indentation"),
        ("a: 'x\nb: 1\n", (1, 4), "the quote opened here is never closed"),
        ("a: 'it's'\n", (1, 8), "text after the end of a value"),
        ("a: {b: 1\nc: 2\n", (1, 4), 'the "{" opened here is not closed'),
        ("a: [\n", (2, 1), "the file ends where a value is expected"),
        ("a: b: c\n", (1, 5), "a second `: ` in one line"),
        ("a:b\nc: d\n", (1, 2), "a colon without a space after it"),
        ("a: 1\n  b: 2\n", (2, 4), "a key where no mapping can start"),
        ("a: 1\n- b\n", (2, 1), "this line does not line up with the mapping it is in"),
        ("a: - b\n", (1, 4), "a `- ` item where no list can start"),
        ('a: "\\q"\n', (1, 5), "an escape that YAML does not know, inside double quotes"),
        ("a: *\n", (1, 5), "`&` and `*` start an anchor or an alias, and here no name follows"),
        ("a: |x\n", (1, 5), "text on the line of `|` or `>`"),
        ("%YAML 1.2\n---\na: 1\n", (1, 1), "Compose reads no YAML version but 1.1"),
    ],
)
def test_broken_syntax_is_explained_where_it_broke(text: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(InvalidState) as caught:
        parse(text.encode(), "c.yaml")
    (problem,) = caught.value.problems
    assert problem.mark is not None
    assert (problem.mark.line, problem.mark.column, problem.message) == (*place, message)
    assert problem.hint


@pytest.mark.parametrize(
    ("text", "is_date"),
    [
        ("2026-02-28", True),
        ("2026-02-29", False),
        ("2024-02-29", True),
        ("2000-02-29", True),
        ("1900-02-29", False),
        ("2026-04-30", True),
        ("2026-04-31", False),
        ("2026-12-31", True),
        ("2026-13-01", False),
        ("2026-00-01", False),
        ("2026-01-00", False),
    ],
)
def test_a_day_that_there_is_is_a_date_and_any_other_is_text(text: str, is_date: bool) -> None:
    if is_date:
        assert codes(f"a: {text}") == ["R021"]
    else:
        assert only(f"a: {text}") == {"a": text}
