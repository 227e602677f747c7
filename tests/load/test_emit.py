"""Does the YAML that is printed say what it was made of?"""

from __future__ import annotations

from typing import Any

from conformance_tables import fuzzed
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.load.emit import yaml_lines
from reconciler.load.node import plain
from reconciler.load.yaml import parse

# What YAML cannot hold at all, the loader refuses before.
_CHARACTERS = st.characters(exclude_categories=("Cs", "Cc", "Cf", "Co", "Cn"), include_characters="\n\t")
_TEXTS = st.text(_CHARACTERS) | st.from_regex(r"\A[-+0-9._:eExXobTtYyNn~<= ]{1,8}\Z")
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@fuzzed
@given(st.dictionaries(_TEXTS, _VALUES, min_size=1, max_size=4))
@example({"a": "1:30", "y": "0o17", "c": "2001-12-14", "<<": "<<", "e": "a: b", "f": "#", "g": "x #y", "h": "-"})
@example({"text": "one\n  two\n\nthree\n", "more": "\n", "last": "a\n\n", "tab": "a\tb", "indented": " a\nb"})
@example({"list": [[], {}, [[1], {"a": []}], {"b": "c\nd"}]})
def test_printed_yaml_reads_as_what_was_printed(value: dict[str, Any]) -> None:
    text = "".join(f"{line}\n" for line in yaml_lines(value))
    (document,) = parse(text.encode(), "printed.yaml")
    assert plain(document) == value
