"""What does the documentation say? `reconciler docs` prints the pages that came with this very version."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from reconciler.cli.printing import columns, say
from reconciler.errors import UsageError

PAGES = Path(__file__).parent.parent / "docs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "topic", nargs="?", metavar="TOPIC", help="the page to print, `errors` or `reference/errors` (default: a list)"
    )


def run(args: argparse.Namespace) -> int:
    """Print a page, or the list of them with their titles."""
    pages = topics(PAGES)
    if args.topic:
        say(chosen(pages, args.topic).read_text("utf-8"))
    else:
        say("".join(f"{line}\n" for line in columns((topic, title(page)) for topic, page in pages.items())))
    return 0


def topics(directory: Path) -> dict[str, Path]:
    """Return every page by its topic: its path without `.md`."""
    found = sorted(directory.glob("**/*.md"))
    return {page.relative_to(directory).with_suffix("").as_posix(): page for page in found}


def title(page: Path) -> str:
    """Return the page's first heading, "" when it has none."""
    lines = page.read_text("utf-8").splitlines()
    return next((line.lstrip("#").strip() for line in lines if line.startswith("#")), "")


def chosen(pages: Mapping[str, Path], topic: str) -> Path:
    """Return the page of a topic, said whole or by its last part. Raises UsageError when none or several are meant."""
    wanted = topic.strip("/").removesuffix(".md")
    found = [wanted] if wanted in pages else [name for name in pages if name.endswith(f"/{wanted}")]
    if len(found) == 1:
        return pages[found[0]]
    if found:
        raise UsageError(f"{topic} may be {' or '.join(found)}", hint="say it with its directory")
    from reconciler.load.excerpt import suggest

    near = suggest(wanted, {*pages, *(name.rpartition("/")[2] for name in pages)})
    raise UsageError(f"there is no page {topic!r}", hint=near or "`reconciler docs` lists them")
