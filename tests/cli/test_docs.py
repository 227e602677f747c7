"""Does `reconciler docs` find every page that came with this version?"""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli import main
from reconciler.cli.docs import PAGES, chosen, title, topics
from reconciler.errors import UsageError


def test_the_list_names_every_page_with_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs"]) == 0
    listed = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert listed.keys() == {str(page.relative_to(PAGES))[:-3] for page in PAGES.rglob("*.md")}
    assert listed["reference/errors"].strip() == "Errors"
    assert all(heading.strip() for heading in listed.values()), "every page begins with a heading"


def test_a_page_is_printed_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", "errors"]) == 0
    assert capsys.readouterr().out == (PAGES / "reference/errors.md").read_text("utf-8")


@pytest.fixture
def pages(tmp_path: Path) -> dict[str, Path]:
    for topic in ("guides/secrets", "concepts/secrets", "concepts/words"):
        page = tmp_path / f"{topic}.md"
        page.parent.mkdir(exist_ok=True)
        page.write_text(f"intro\n\n## About {topic}\n")
    return topics(tmp_path)


@pytest.mark.parametrize("said", ["concepts/words", "words", "words.md", "/concepts/words.md"])
def test_a_topic_may_be_said_by_its_last_part(pages: dict[str, Path], said: str) -> None:
    assert title(chosen(pages, said)) == "About concepts/words"


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ("secrets", "secrets may be concepts/secrets or guides/secrets", "say it with its directory"),
        ("wrods", "there is no page 'wrods'", 'did you mean "words"?'),
        ("../../etc/passwd", "there is no page '../../etc/passwd'", "`reconciler docs` lists them"),
    ],
)
def test_what_is_no_topic_is_refused(pages: dict[str, Path], said: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        chosen(pages, said)
    assert (str(refused.value), refused.value.hint) == (message, hint)
