"""What stands on a page: its headings and links, its fenced blocks, the commands it shows, the repositories it spells out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "reconciler" / "docs"
README = PROJECT / "README.md"
PAGES = (README, *sorted(DOCS.rglob("*.md")))

_FENCE = re.compile(r"^(?:<!-- (?P<mark>[^\n]*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `mark` is the comment right before it."""

    language: str
    text: str
    mark: str
    start: int


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text("utf-8")
    return [Block(found["language"], found["text"], found["mark"] or "", found.start()) for found in _FENCE.finditer(text)]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as forges make them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[tuple[str, str]]:
    """Return the links inside the project: path, relative to the page, and anchor."""
    return _LINK.findall(prose(page))


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each `reconciler` command in a transcript or a script, without the first."""
    for block in blocks(page):
        for line in block.text.replace("\\\n", " ").splitlines():
            if block.language == "console" and line.startswith("$ "):
                yield from _reconcilers(line[2:])
            elif block.language == "sh":
                yield from _reconcilers(line)


def _reconcilers(line: str) -> Iterator[list[str]]:
    """A line may hold several commands; what is between them is the shell's."""
    words = shlex.shlex(line, posix=True, punctuation_chars="&|;()<>")
    words.whitespace_split = True
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("&|;()<>"):
            if command[:1] == ["reconciler"]:
                yield command[1:]
            command = []
        else:
            command.append(word)


def named_verbs(page: Path) -> Iterator[str]:
    """Yield each verb that the running text names, as in `reconciler plan`."""
    for code in _CODE.findall(prose(page)):
        words = code.split()
        if len(words) > 1 and words[0] == "reconciler" and words[1].isalpha() and words[1].islower():
            yield words[1]


def repositories(page: Path) -> list[dict[str, str]]:
    """Return the repositories that a page spells out: path -> text.

    `<!-- file: PATH -->` before a block makes it a file; `<!-- repository -->` begins another repository.
    """
    text = page.read_text("utf-8")
    begins = [found.start() for found in re.finditer(r"^<!-- repository -->$", text, re.MULTILINE)]
    found: dict[int, dict[str, str]] = {}
    for block in blocks(page):
        if block.mark.startswith("file: "):
            number = sum(begin < block.start for begin in begins)
            found.setdefault(number, {})[block.mark.removeprefix("file: ")] = block.text
    return list(found.values())


def operators_files(page: Path) -> list[str]:
    """Return the blocks that are an operator's file."""
    return [block.text for block in blocks(page) if block.mark == "operator"]
