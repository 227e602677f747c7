"""Does a shell complete what the parser knows?"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.cli import VERBS
from reconciler.cli.completion import SHELLS, Verb, bash, verbs

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_reconciler
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def known() -> tuple[Verb, ...]:
    return verbs()


@pytest.fixture(scope="module")
def script(known: tuple[Verb, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = tmp_path_factory.mktemp("completion") / "reconciler.bash"
    script.write_text(bash(known))
    return script


def completed(script: Path, directory: Path, *words: str) -> set[str]:
    command = ["bash", "--norc", "-c", ASK, "bash", str(script), "reconciler", *words]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("",), set(VERBS)),
        (("st",), {"status"}),
        (("--v",), {"--version"}),
        (("completion", ""), set(SHELLS)),
        (("status", "--js"), {"--json"}),
        (("plan", "--format", ""), {"text", "markdown", "json"}),
        (("plan", "--format", "mark"), {"markdown"}),
        (("schema", "op"), {"operator"}),
        (("docs", "reference/err"), {"reference/errors"}),
        (("plan", "sho"), {"shop"}),
        (("plan", "--state", "sho"), {"shop"}),
        (("config", "-f", "comp"), {"compose.yaml"}),
        (("history", "--at", ""), set()),
        (("--version", "hist"), {"history"}),
    ],
)
def test_bash_offers_what_may_follow(script: Path, tmp_path: Path, words: tuple[str, ...], offered: set[str]) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "compose.yaml").touch()
    assert completed(script, tmp_path, *words) == offered


def test_every_verb_and_option_of_the_parser_is_there(known: tuple[Verb, ...]) -> None:
    assert [verb.name for verb in known] == list(VERBS)
    for shell, write in SHELLS.items():
        text = write(known)
        for verb in known:
            long = [name[2:] for name in verb.names if name.startswith("--")]
            assert verb.name in text
            assert "help" in long
            assert all(name in text for name in long), shell
