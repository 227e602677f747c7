"""What the pages say is so: verbs, options, variables, links, examples."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pages import (
    DOCS,
    PAGES,
    PROJECT,
    README,
    anchors,
    blocks,
    commands,
    links,
    named_verbs,
    operators_files,
    prose,
    repositories,
)

from reconciler.cli import VERBS, parser_for
from reconciler.drivers.memory.repository import MemoryFiles
from reconciler.load.loading import LoadSettings, load
from reconciler.load.operator import read_operator
from reconciler.model.policy import EXCEPTIONS
from reconciler.model.source import Revision
from reconciler.settings import VARIABLES

COMMAND_LINE = DOCS / "reference" / "command-line.md"
SHARED = ("Where", "Access to a Git remote")
"""The sections of options that many verbs take; a verb's own section says which of them."""


def name(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


each_page = pytest.mark.parametrize("page", PAGES, ids=name)

# --- the command line ------------------------------------------------------------------------------------------------


def sections() -> dict[str, str]:
    """Return the reference's sections by heading."""
    _, *parts = re.split(r"^## ", COMMAND_LINE.read_text("utf-8"), flags=re.MULTILINE)
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def documented(section: str) -> set[str]:
    """Return the options that the tables of a section list in their first column, without their values."""
    first_cells = re.findall(r"^\| (`-[^|]*?(?:\\\|[^|]*?)*) \|", section, re.MULTILINE)
    return {option for cell in first_cells for option in re.findall(r"`(--?[\w-]+)", cell)}


def options(verb: str) -> list[tuple[str, ...]]:
    """Return the names of each option that the parser knows for a verb."""
    parser = parser_for(verb)
    known = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return [tuple(action.option_strings) for action in known.choices[verb]._actions if action.option_strings]


def test_every_verb_has_its_section_and_no_other() -> None:
    assert [heading for heading in sections() if heading not in SHARED] == [verb for verb in sections() if verb in VERBS]
    assert set(sections()) - set(SHARED) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_documented_and_every_documented_one_exists(verb: str) -> None:
    said = sections()
    own = documented(said[verb])
    shared = {option for section in SHARED if f"[{section}]" in said[verb] for option in documented(said[section])}
    shared -= set(re.findall(r"without `(--[\w-]+)`", said[verb]))
    known = {names for names in options(verb) if "--help" not in names}
    assert own | shared == {option for names in known for option in names}


@each_page
def test_commands_that_a_page_shows_parse(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(page):
        try:
            parser_for(*words[:1]).parse_args(words)
        except SystemExit as wrong:
            pytest.fail(f"reconciler {' '.join(words)}: {wrong}\n{capsys.readouterr().err}")


@each_page
def test_verbs_that_a_page_names_exist(page: Path) -> None:
    assert set(named_verbs(page)) <= set(VERBS)


# --- links -----------------------------------------------------------------------------------------------------------


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [README]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        targets = ((page.parent / path).resolve() for path, _ in links(page) if path.endswith(".md"))
        ahead.extend(target for target in targets if target not in reached)
    assert set(PAGES) <= reached


@each_page
def test_a_page_begins_with_its_title_and_fits_the_width(page: Path) -> None:
    lines = page.read_text("utf-8").splitlines()
    assert lines[0].startswith("# ")
    wide = [line for line in prose(page).splitlines() if len(line) > 128 and not line.startswith(("|", "<!--"))]
    assert wide == []


# --- what is listed --------------------------------------------------------------------------------------------------


def test_every_environment_variable_is_listed_and_no_other() -> None:
    page = prose(DOCS / "reference" / "files-and-environment-variables.md")
    assert set(re.findall(r"^\| `(RECONCILER_\w+)`", page, re.MULTILINE)) == {*VARIABLES.values(), "RECONCILER_DEBUG"}


def test_every_exception_from_the_policy_is_listed_and_no_other() -> None:
    rows = re.findall(r"^\| ((?:`[\w:-]+`(?:, )?)+) \|", (DOCS / "concepts" / "policy.md").read_text("utf-8"), re.MULTILINE)
    listed = {code for row in rows for code in re.findall(r"`([\w:-]+)`", row)} - {"open", "strict"}
    assert listed == {*EXCEPTIONS, "cap:NAME"}


@each_page
def test_codes_that_a_page_names_are_explained(page: Path) -> None:
    explained = set(re.findall(r"^\| (R\d{3})", (DOCS / "reference" / "errors.md").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bR\d{3}\b", page.read_text("utf-8"))) <= explained


# --- examples --------------------------------------------------------------------------------------------------------


def examples() -> Iterable[tuple[Path, dict[str, str], str]]:
    """Return each repository that a page spells out, with the operator's file of the page that goes with it."""
    for page in PAGES:
        operator = next(iter(operators_files(page)), "")
        for files in repositories(page):
            yield page, files, operator


@pytest.mark.parametrize(("page", "files", "operator"), [pytest.param(*one, id=name(one[0])) for one in examples()])
def test_a_repository_that_a_page_spells_out_is_valid(page: Path, files: dict[str, str], operator: str) -> None:
    settings = LoadSettings("example", read_operator(operator.encode(), "operator.yaml").environment if operator else {})
    revision = Revision("0" * 40, "main", datetime(2026, 1, 1, tzinfo=UTC))
    desired = load(MemoryFiles({path: text.encode() for path, text in files.items()}), revision, settings)
    assert desired.warnings == ()


@pytest.mark.parametrize("page", [page for page in PAGES if operators_files(page)], ids=name)
def test_an_operators_file_that_a_page_shows_is_valid_and_says_something(page: Path) -> None:
    for text in operators_files(page):
        assert read_operator(text.encode(), "operator.yaml") != read_operator(b"", "operator.yaml")


def test_no_example_of_ours_goes_unchecked() -> None:
    """A YAML block of ours without a mark would be an example that nobody checks."""
    unmarked = {
        (name(page), block.text.partition("\n")[0])
        for page in PAGES
        for block in blocks(page)
        if block.language == "yaml" and not block.mark and re.search(r"^(?:services|stacks|api):", block.text, re.MULTILINE)
    }
    assert unmarked == {
        ("reconciler/docs/guides/first-repository.md", "services:"),  # as it was found, with its mistakes
        ("reconciler/docs/guides/run-as-a-container.md", "name: reconciler"),  # tests/images reads it
        ("reconciler/docs/reference/environment.md", "# yaml-language-server: $schema=https://…/schemas/environment.json"),
    }
