"""The reference pages say every key and every code.

`ACCEPT=1` writes the tables of keys anew; the words around them are written by hand.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from reconciler.load.reference import tables
from reconciler.load.schemas import schemas

PACKAGE = Path(__file__).parents[2] / "reconciler"
PAGES = PACKAGE / "docs" / "reference"
TABLES = re.compile(r"(<!-- keys of (?P<schema>\w+): (?P<first>[\w.]+) -->\n)(?P<table>.*?)(<!-- end -->)", re.DOTALL)


def fresh(page: str) -> str:
    """Return a page with the tables that the models make now."""
    return TABLES.sub(lambda found: f"{found[1]}\n{tables(schemas()[found['schema']], found['first'])}\n{found[5]}", page)


@pytest.mark.parametrize("name", ["environment", "extensions", "operator"])
def test_the_tables_of_keys_are_fresh(name: str) -> None:
    page = PAGES / f"{name}.md"
    if os.environ.get("ACCEPT"):
        page.write_text(fresh(page.read_text("utf-8")), "utf-8")
    assert page.read_text("utf-8") == fresh(page.read_text("utf-8"))


@pytest.mark.parametrize("name", ["environment", "extensions", "operator"])
def test_every_key_is_on_the_page_and_says_what_it_is_for(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text("utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| .* \| ([^|]*) \|$", page, re.MULTILINE)
    assert [key for key, says in rows if not says.strip()] == []
    declared = {key for definition in schemas()[name]["$defs"].values() for key in definition["properties"]}
    assert declared <= {key for key, _ in rows}


def test_every_code_is_explained_and_none_that_is_gone() -> None:
    said = {code for file in PACKAGE.rglob("*.py") for code in re.findall(r'"(R\d{3})"', file.read_text("utf-8"))}
    explained = re.findall(r"^\| (R\d{3})(?: W)? \| \S", (PAGES / "errors.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(explained) == sorted(said)


def test_codes_that_only_warn_are_marked() -> None:
    marked = set(re.findall(r"^\| (R\d{3}) W \|", (PAGES / "errors.md").read_text("utf-8"), re.MULTILINE))
    refused = {
        code
        for file in (Path(__file__).parent / "bad").glob("*.expected")
        for code in re.findall(r"^error\[(R\d{3})\]", file.read_text("utf-8"), re.MULTILINE)
    }
    assert marked & refused == set()
