"""Is what is wrong said in the same way everywhere: on stderr, with what to do, and nothing that is not for eyes?"""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli import main
from reconciler.cli.problems import complain
from reconciler.errors import InvalidState, Mark, Problem, Refused


def test_an_error_is_a_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    complain(Refused("the lease is held", hint="wait for it"))
    assert capsys.readouterr() == ("", "error: the lease is held\nhint: wait for it\n")


def test_what_an_engine_answers_cannot_forge_lines(capsys: pytest.CaptureFixture[str]) -> None:
    complain(Refused("no\nerror: \x1b[2Jforged"))
    assert capsys.readouterr().err == "error: no\\nerror: \\x1b[2Jforged\n"


def test_every_problem_of_a_file_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem("R034", "unknown key", Mark("a.yaml", 1, 2), hint="remove it"), Problem("R050", "wrong value")]
    complain(InvalidState(problems))
    assert (
        capsys.readouterr().err
        == "error[R034]: unknown key\n  --> a.yaml:1:2\n  hint: remove it\n\nerror[R050]: wrong value\n\n"
    )


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    directory = tmp_path / "broken"
    directory.mkdir()
    (directory / "compose.yaml").write_text("name: broken\nservices: {web: {imge: web}}\n")
    return directory


@pytest.mark.parametrize("words", [["status"], ["diff"], ["explain", "shop/web", "--source"], ["logs", "shop", "--source"]])
def test_every_verb_says_it_alike(broken: Path, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    away = ["--engine", "unix:///nowhere/docker.sock", "--state", str(tmp_path / "state")]
    assert main([*words, str(broken), *away]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith('error[R034]: unknown key "imge"\n  --> compose.yaml:2:18   services.web.imge\n')
    assert "error[" not in shown.out


def test_validate_prints_only_errors_when_asked_to_be_quiet(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--quiet", str(broken)]) == 1
    assert "error[R034]" in capsys.readouterr().out
    (broken / "compose.yaml").write_text("version: '3'\nname: broken\nservices: {web: {image: web}}\n")
    assert main(["validate", str(broken)]) == 0
    assert "warning[" in capsys.readouterr().out
    assert main(["validate", "--quiet", str(broken)]) == 0
    assert capsys.readouterr() == ("", "")
