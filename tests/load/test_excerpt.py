"""Does a person see the right line, and never a secret?"""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.drivers.directory import DirectoryFiles
from reconciler.errors import Mark, Problem, Severity
from reconciler.load.excerpt import render_problem, suggest, with_excerpts
from reconciler.load.text import brief, printable

UNKNOWN = Problem("R034", 'unknown key "replcas"', Mark("c.yaml", 14, 7), "services.web.deploy.replcas")


def rendered(problem: Problem, line: str, folder: Path) -> str:
    assert problem.mark is not None
    (folder / problem.mark.path).write_text("\n" * (problem.mark.line - 1) + line, encoding="utf-8", newline="")
    return "\n".join(render_problem(shown) for shown in with_excerpts([problem], DirectoryFiles(folder)))


def test_a_problem_is_shown_with_its_line_a_caret_and_the_hint(tmp_path: Path) -> None:
    problem = Problem(UNKNOWN.code, UNKNOWN.message, UNKNOWN.mark, UNKNOWN.at, suggest("replcas", ["replicas", "resources"]))
    assert rendered(problem, "      replcas: 3\n", tmp_path) == (
        'error[R034]: unknown key "replcas"\n'
        "  --> c.yaml:14:7   services.web.deploy.replcas\n"
        "   |\n"
        "14 |       replcas: 3\n"
        '   |       ^^^^^^^ did you mean "replicas"?'
    )


def test_a_warning_says_so() -> None:
    warning = Problem("R026", "old spelling", severity=Severity.WARNING)
    assert render_problem(warning) == "warning[R026]: old spelling"


def test_a_long_line_is_cut_and_searched_for_secrets_only_as_far_as_that_is_cheap(tmp_path: Path) -> None:
    said = rendered(UNKNOWN, "      replcas: " + "password" * 100_000, tmp_path)
    assert f"14 |       replcas: {('password' * 14)[:105]}…" in said


def test_user_info_that_goes_on_behind_the_cut_is_masked(tmp_path: Path) -> None:
    said = rendered(UNKNOWN, f"      replcas: https://{'hunter2' * 1000}@example.org", tmp_path)
    assert "14 |       replcas: https://***@" in said
    assert "hunter" not in said


def test_without_a_line_to_show_the_hint_stands_alone() -> None:
    assert render_problem(Problem("R080", "no such branch", hint="push it first")) == (
        "error[R080]: no such branch\n  hint: push it first"
    )
    assert render_problem(Problem("R015", "too many files", Mark("c.yaml"), hint="use fewer")) == (
        "error[R015]: too many files\n  --> c.yaml\n  hint: use fewer"
    )


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  DB_PASSWORD: hunter2", "  DB_PASSWORD: ***"),
        ("  - apiToken=hunter2 and more", "  - apiToken=***"),
        ("  {user: a, 'secret-key': hunter2}", "  {user: a, 'secret-key': ***"),
        ("  command: app --password hunter2", "  command: app --password ***"),
        ('  command: ["--dsn", "hunter2"]', '  command: ["--dsn", ***'),
        ("  url: postgres://me:hunter2@db/shop", "  url: postgres://***@db/shop"),
        ("  url: https://hunter2@host", "  url: https://***@host"),
        ("  image: nginx:1.27", "  image: nginx:1.27"),
        ("  mail: me@example.org", "  mail: me@example.org"),
    ],
)
def test_what_sounds_like_a_secret_is_masked(line: str, shown: str, tmp_path: Path) -> None:
    text = rendered(Problem("R034", "x", Mark("c.yaml", 3, 3)), line, tmp_path)
    assert f"3 | {shown}\n" in text
    assert "hunter2" not in text


def test_a_line_within_a_secret_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("env:\n  PASSWORD:\n\n    hunter2: 1\n    hunter2: 2\n", encoding="utf-8")
    problem = Problem("R004", "twice", Mark("c.yaml", 5, 5))
    assert with_excerpts([problem], DirectoryFiles(tmp_path)) == (problem,)


def test_a_dotted_path_through_a_secret_hides_the_line_too(tmp_path: Path) -> None:
    problem = Problem("R004", "twice", Mark("c.yaml", 1, 5), "env.PASSWORD.0")
    assert "hunter2" not in rendered(problem, "  - hunter2", tmp_path)


def test_the_section_secrets_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("secrets:\n  db:\n    fil: db.txt\n", encoding="utf-8")
    problem = Problem("R034", "unknown", Mark("c.yaml", 3, 5), "secrets.db.fil")
    (shown,) = with_excerpts([problem], DirectoryFiles(tmp_path))
    assert shown.excerpt == "    fil: db.txt"


@pytest.mark.parametrize(("line", "shown"), [("A/B=hunter2", "A/B=***"), ("hunter2", ""), ("'hunter2", "")])
def test_of_an_env_file_only_the_name_is_shown(line: str, shown: str, tmp_path: Path) -> None:
    text = rendered(Problem("R008", "x", Mark("web.env", 1, 1, literal=False)), line, tmp_path)
    assert "hunter2" not in text
    assert (f"1 | {shown}\n" in text) is bool(shown)


def test_of_any_other_file_nothing_is_shown(tmp_path: Path) -> None:
    assert "hunter2" not in rendered(Problem("R001", "x", Mark("id_ed25519", 1, 1)), "hunter2=hunter2", tmp_path)


def test_a_missing_or_broken_file_has_no_excerpt(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(b"\xff")
    problems = tuple(Problem("R003", "x", Mark(path, 1, 1)) for path in ("bad.yaml", "none.yaml", "../up.yaml"))
    assert with_excerpts(problems[:2], DirectoryFiles(tmp_path)) == problems[:2]


def test_a_caret_stays_under_a_tabbed_and_under_a_masked_line(tmp_path: Path) -> None:
    assert rendered(Problem("R003", "x", Mark("c.yaml", 1, 3)), "\t\tweb: 1", tmp_path).endswith("\n  | \t\t^^^")
    masked = rendered(Problem("R003", "x", Mark("c.yaml", 1, 40)), "KEY: " + "x" * 50, tmp_path)
    assert masked.endswith("1 | KEY: ***\n  |        ^")


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    text = rendered(Problem("R003", "x", Mark("c.yaml", 1, 1)), "a: " + "x" * 500, tmp_path)
    assert "…" in text
    assert max(map(len, text.splitlines())) < 130


@pytest.mark.parametrize(("word", "meant"), [("replcas", 'did you mean "replicas"?'), ("zzz", ""), ("x" * 100_000, "")])
def test_a_near_word_is_suggested(word: str, meant: str) -> None:
    assert suggest(word, {"replicas", "resources"}) == meant


def test_names_out_of_files_cannot_drive_the_terminal() -> None:
    assert printable("a\x1b[31m\u202eb\n") == "a\\x1b[31m\\u202eb\\n"
    assert brief("x" * 1000) == "x" * 79 + "…"
    assert "\x1b" not in render_problem(Problem("R034", "\x1b[2J", Mark("\x1b", 1), "\x1b", "\x1b"))
