"""Does nothing reach git but addresses and names that are safe?"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.errors import InvalidState, UsageError
from reconciler.load.excerpt import render_problem
from reconciler.load.giturl import CommitName, check_branch, parse_commit_name, parse_folder, parse_url

BAD = Path(__file__).parents[1] / "load/bad"
CHECKS: dict[str, Callable[[str], object]] = {"B66": parse_url, "B67": parse_url, "B68": check_branch}
CASES = sorted(path for path in BAD.glob("B6[678]-*.txt"))

# What attackers write, in pieces.
PIECES = st.sampled_from(
    [
        *(
            "https://",
            "ssh://",
            "http:/",
            "file://",
            "ext::",
            "-",
            "--",
            "@",
            ":",
            "/",
            "//",
            "::",
            "%0a",
            "%",
            "?",
            "#",
            "\n",
            " ",
        ),
        *(
            "git",
            "user:pw@",
            "h.example",
            "[::1]",
            "..",
            "~",
            "^",
            "{",
            "}",
            "*",
            "\\",
            ".lock",
            "HEAD",
            "refs/heads/",
            "é",
            "\u202e",
        ),
    ]
)
HOSTILE = st.one_of(st.text(), st.lists(PIECES, max_size=8).map("".join))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_bad_address_or_branch_is_refused_with_its_whole_message(case: Path) -> None:
    with pytest.raises(InvalidState) as refusal:
        CHECKS[case.stem[:3]](case.read_text().removesuffix("\n"))
    message = "\n".join(map(render_problem, refusal.value.problems)) + "\n"
    assert message == case.with_suffix(".expected").read_text()
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("https://git.example.org/team/state.git", ("https", "", "git.example.org", "team/state.git")),
        ("HTTPS://Git.Example.org:8443/state", ("https", "", "git.example.org:8443", "state")),
        ("ssh://git@git.example.org:2222/~/state.git", ("ssh", "git", "git.example.org:2222", "~/state.git")),
        ("ssh://git.example.org/state.git", ("ssh", "", "git.example.org", "state.git")),
        ("ssh://git@[2001:db8::1]:22/state.git", ("ssh", "git", "[2001:db8::1]:22", "state.git")),
        ("git@git.example.org:team/state.git", ("ssh", "git", "git.example.org", "team/state.git")),
        ("backup:state.git", ("ssh", "", "backup", "state.git")),
        ("git@[::1]:state.git", ("ssh", "git", "[::1]", "state.git")),
    ],
)
def test_usual_addresses_pass_as_written(text: str, parts: tuple[str, ...]) -> None:
    url = parse_url(text)
    assert (url.scheme, url.login, url.host, url.path) == parts
    assert str(url) == text


@pytest.mark.parametrize("text", ["/srv/state.git", "file:///srv/state.git", "/srv/my state.git"])
def test_a_local_repository_passes_only_where_it_is_allowed(text: str) -> None:
    assert parse_url(text, allow_file=True).path == text.removeprefix("file://")
    with pytest.raises(InvalidState, match="needs the operator's permission"):
        parse_url(text, allow_http=True)


def test_plain_http_passes_only_where_it_is_allowed() -> None:
    assert parse_url("http://localhost:3000/a", allow_http=True).host == "localhost:3000"
    with pytest.raises(InvalidState, match="unencrypted"):
        parse_url("http://localhost:3000/a", allow_file=True)


def test_all_that_is_wrong_with_an_address_is_told_at_once() -> None:
    with pytest.raises(InvalidState) as refusal:
        parse_url("file://host/")
    assert [problem.code for problem in refusal.value.problems] == ["R081", "R080", "R080"]


@given(HOSTILE)
@example("https:/u:p@h/x")
@example("u:p@h:x")
def test_what_passes_is_one_visible_line_that_is_no_option(text: str) -> None:
    try:
        url = parse_url(text, allow_file=True, allow_http=True)
    except InvalidState as refusal:
        shown = [f"{problem.message} {problem.hint}" for problem in refusal.problems]
        assert shown
        assert all(line.isprintable() for line in shown)
    else:
        assert url.text == text
        assert text.isprintable()
        assert not text.startswith("-")
        assert "-" not in (url.host[:1], url.login[:1], url.path[:1])
        assert url.scheme in ("https", "http", "ssh", "file")


@given(user=st.from_regex(r"[a-z]{0,8}", fullmatch=True), rest=HOSTILE)
@example(user="git", rest="h:x")
@example(user="", rest="h/x")
@example(user="htps:/deploy", rest="h/x")
def test_a_password_never_passes_and_is_never_shown(user: str, rest: str) -> None:
    for address in (f"https://{user}:pa55w0rd@{rest}", f"ssh://{user}:pa55w0rd@{rest}", f"{user}:pa55w0rd@{rest}"):
        with pytest.raises(InvalidState) as refusal:
            parse_url(address, allow_file=True, allow_http=True)
        assert "pa55w0rd" not in f"{refusal.value!r} {refusal.value.problems!r}"


@given(HOSTILE)
@example("a.lock/b")
@example("@")
@example("a/@")
@example("\ud800")
def test_git_accepts_every_branch_that_passes(text: str) -> None:
    try:
        name = check_branch(text)
    except InvalidState:
        return
    assert subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], check=False).returncode == 0


@pytest.mark.parametrize("name", ["main", "release/1.2", "feature/ünïcode", "a-b_c+d=e", "1"])
def test_usual_branches_pass(name: str) -> None:
    assert check_branch(name) == name


@pytest.mark.parametrize(
    ("name", "base", "steps"),
    [
        ("HEAD", "HEAD", ""),
        ("HEAD~1", "HEAD", "~1"),
        ("HEAD^^", "HEAD", "^^"),
        ("release/1.2~3^2", "release/1.2", "~3^2"),
        ("3f2a9c1", "3f2a9c1", ""),
    ],
)
def test_commit_names_are_taken_apart(name: str, base: str, steps: str) -> None:
    assert parse_commit_name(name) == CommitName(base, steps)


@given(HOSTILE)
def test_a_commit_name_is_safe_or_a_usage_error(text: str) -> None:
    try:
        name = parse_commit_name(text)
    except UsageError:
        return
    assert name.base + name.steps == text
    assert not set(text) & set(" :?*[\\\n")
    assert not text.startswith("-")


@pytest.mark.parametrize(
    ("path", "folder"),
    [("", ""), (".", ""), ("a/b", "a/b"), ("./a//b/", "a/b"), ("a.b/..c", "a.b/..c"), ("my state", "my state")],
)
def test_a_folder_is_written_in_one_way(path: str, folder: str) -> None:
    assert parse_folder(path) == folder


@pytest.mark.parametrize("path", ["/", "/etc", "..", "a/../b", "a/..", "a\nb", "a\0b"])
def test_a_folder_outside_the_repository_is_refused(path: str) -> None:
    with pytest.raises(InvalidState, match="is not inside the repository"):
        parse_folder(path)
