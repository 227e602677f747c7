"""`reconciler validate` says everything at once, in every format, and imports little."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli import main
from reconciler.cli.problems import FORMATS, counted
from reconciler.errors import Mark, Problem, Severity

BAD = Path(__file__).parent / "bad"
EXAMPLE = Path(__file__).parents[2] / "example-repo"
WRONG = BAD / "B37-wrong-extension"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def run(*words: str) -> tuple[int, str, str]:
        code = main(["validate", *words, "--state", str(tmp_path)])
        return code, *capsys.readouterr()

    return run


def test_a_good_repository_is_summed_up_in_a_line(said: Any) -> None:
    code, out, err = said(str(EXAMPLE))
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("production, ")
    assert ": no errors, " in out.splitlines()[-1]


def test_a_bad_one_is_told_whole_and_exits_with_one(said: Any) -> None:
    code, out, err = said(str(WRONG))
    assert (code, err) == (1, "")
    assert out == (BAD / "B37-wrong-extension.expected").read_text("utf-8") + "6 errors, no warnings\n"


def test_a_directory_inside_the_source_can_be_named(said: Any) -> None:
    code, out, _ = said(str(BAD), "--path", WRONG.name)
    assert (code, out.splitlines()[-1]) == (1, "6 errors, no warnings")


def test_a_program_reads_json(said: Any) -> None:
    code, out, _ = said(str(WRONG), "--format", "json")
    document = json.loads(out)
    assert (code, document["summary"], len(document["problems"])) == (1, "6 errors, no warnings", 6)
    assert document["problems"][0] == {
        "severity": "error",
        "code": "R034",
        "message": 'unknown key "behaviour"',
        "path": "compose.yaml",
        "line": 8,
        "column": 7,
        "at": "services.web.x-autoscale.behaviour",
        "hint": 'did you mean "behavior"?',
        "excerpt": "      behaviour: {}",
    }


def test_a_code_scanner_reads_sarif(said: Any) -> None:
    _, out, _ = said(str(WRONG), "--format", "sarif")
    run = json.loads(out)["runs"][0]
    codes = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    first = run["results"][0]
    assert all(result["ruleId"] in codes for result in run["results"])
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "compose.yaml"},
        "region": {"startLine": 8, "startColumn": 7},
    }


def test_a_pull_request_shows_problems_at_their_lines(said: Any) -> None:
    _, out, _ = said(str(WRONG), "--format", "github")
    first = '::error file=compose.yaml,line=8,col=7,title=R034::unknown key "behaviour" (did you mean "behavior"?)'
    assert out.splitlines()[0] == first


def test_what_could_end_a_workflow_command_is_escaped() -> None:
    problem = Problem("R001", "50% of\nit", Mark("a,b:c.yaml", 3))
    assert FORMATS["github"]([problem], "done") == "::error file=a%2Cb%3Ac.yaml,line=3,title=R001::50%25 of%0Ait\ndone\n"


def test_problems_without_a_place_have_none() -> None:
    problem = Problem("R001", "gone", severity=Severity.WARNING)
    assert "locations" not in json.loads(FORMATS["sarif"]([problem], ""))["runs"][0]["results"][0]
    assert "line" not in json.loads(FORMATS["json"]([problem], ""))["problems"][0]
    assert FORMATS["github"]([problem], "") == "::warning title=R001::gone\n\n"
    assert counted([problem]) == "no errors, 1 warning"


def test_a_wrong_operator_file_is_told_like_the_rest(said: Any, tmp_path: Path) -> None:
    operator = tmp_path / "operator.yaml"
    operator.write_text("polcy: strict\n")
    code, out, _ = said(str(EXAMPLE), "--operator", str(operator))
    assert code == 1
    assert out.startswith('error[R110]: unknown key "polcy"')


def test_it_needs_no_engine_no_git_and_no_schema_library() -> None:
    heavy = "docker", "git", "jsonschema", "watchfiles", "rich", "requests", "sqlite3", "asyncio"
    program = (
        "import sys; from reconciler.cli import main; "
        f"assert main(['validate', {str(EXAMPLE)!r}]) == 0; "
        f"print(sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
