"""Does a secret ever come out: on the terminal, in a log, in a plan that is written, in the state directory?

A repository holds a canary in every place where people keep secrets. It is planned, applied, changed, spoilt and failed;
everything that any verb prints and everything it writes is then searched for the canaries.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
from surroundings import Outcome, remove_environment

from reconciler.cli import VERBS

PROJECT = Path(__file__).parents[2]
ENVIRONMENT = "p7canaries"

PLACES = (
    "dotenv", "env-file", "inline", "url", "label", "health", "command", "hook", "config", "secret-file", "secret-variable",
    "operator", "said",
)  # fmt: skip
"""Where the canaries are; `said` is what a container itself prints."""

COMPOSE = """\
x-runs: &runs {image: "busybox:1.36", stop_grace_period: 1s}
services:
  app:
    <<: *runs
    command: [sh, -c, "trap 'exit 0' TERM; echo started; : ${COMMAND}; sleep 9999 & wait"]
    environment:
      FROM_DOTENV: ${DOTENV}
      FROM_OPERATOR: ${OPERATOR}
      API_TOKEN: INLINE
      DATABASE: https://user:URL@db.example/x
    env_file: app.env
    labels: {note: "${LABEL}"}
    healthcheck: {test: [CMD-SHELL, "true ${HEALTH}"], interval: 1s}
    configs: [{source: settings, target: /etc/settings}]
    secrets: [password, token]
configs:
  settings: {environment: CONFIG}
secrets:
  password: {file: ./password.txt}
  token: {environment: SECRET}
"""

FAILURES = """\
  no-program:
    <<: *runs
    command: ["--password=${COMMAND}"]
  no-user:
    <<: *runs
    user: nobody-knows
  unhealthy:
    <<: *runs
    command: [sh, -c, "sleep 9999"]
    healthcheck: {test: [CMD-SHELL, "echo ${HEALTH}; exit 1"], interval: 100ms, retries: 1}
  no-hook:
    <<: *runs
    command: [sh, -c, "sleep 9999"]
    environment: {API_TOKEN: INLINE}
    post_start: [{command: [sh, -c, "echo ${HOOK}; exit 3"]}]
  ends:
    <<: *runs
    command: [sh, -c, "echo SAID; exit 7"]
"""
"""Services that fail in the engine's hands, each with a canary in what is said about it."""

MISTAKES = (
    "  bad: {image: x, environment: {API_TOKEN: INLINE, FROM: [}}\n",
    "  bad:\n\tAPI_TOKEN: INLINE\n",
    """\
  wrong-type: {image: x, environment: [{API_TOKEN: INLINE}], labels: {note: ["${LABEL}"]}}
  unknown-key: {image: x, enviroment: {API_TOKEN: INLINE, DATABASE: "https://user:URL@db"}, lables: {note: "${LABEL}"}}
""",
    """\
  unset: {image: x, environment: {API_TOKEN: "INLINE${UNSET}", FROM: "${UNSET:?${DOTENV}}"}}
""",
    """\
  bad-values: {image: x, healthcheck: {test: ["${HEALTH}"], interval: soon}, post_start: [{command: "sh -c '${HOOK}"}]}
""",
)
"""Mistakes on the very lines of the canaries, added to the services: no YAML, a tab, wrong types, a variable without value."""

SAID: Mapping[str, tuple[str, ...]] = {
    "validate": tuple(f"repository --format {one}" for one in ("text", "json", "sarif", "github")),
    "plan": (
        "repository --actions",
        "repository --format markdown --actions",
        "repository --format json",
        "repository --out plan.json",
    ),
    "apply": ("repository --timeout 8",),
    "run": ("repository --once --log-format text", "repository --once --log-format json"),
    "status": ("repository", "repository --json"),
    "diff": ("repository", "repository --json"),
    "explain": tuple(
        f"shop/{service} --source repository {form}" for service in ("app", "no-program", "no-hook") for form in ("", "--json")
    ),
    "history": ("--verbose --all", "--json", "--at 0m"),
    "audit": ("show --number 9999", "show --number 9999 --json", "verify"),
    "retry": ("--all",),
    "suspend": ("--all --for 1m",),
    "resume": ("--all",),
    "rollback": ("shop/app --source repository --reason none",),
    "rollout": ("status --source repository", "pause shop/app --source repository --reason none"),
    "scale": ("shop/app=2 --source repository",),
    "adopt": ("--source repository",),
    "health": ("--listen 127.0.0.1:1",),
    "schema": ("",),
    "docs": ("",),
    "completion": ("bash",),
    "config": ("--file repository/shop/compose.yaml --env-file repository/shop/.env --quiet",),
}
"""What is said with each verb, from the directory above the repository."""

UNSAID = {
    "logs": "prints what containers write, whatever that is",
    "init": "writes down what runs, into files that are made for it",
    "demo": "brings a repository of its own",
}

CHANGING = ("apply", "run", "retry", "suspend", "resume", "rollback", "scale")


@dataclass
class Canaries:
    """The secrets of one generation: a word for each place."""

    generation: int

    def word(self, place: str) -> str:
        return f"canary-{place}-{self.generation}x"

    def filled(self, text: str) -> str:
        for place in ("inline", "url", "said"):
            text = text.replace(place.upper(), self.word(place))
        return text


@dataclass
class Told:
    """Everything that was printed, and by what."""

    directory: Path
    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)

    def say(self, *verbs: str) -> None:
        """Say all that there is to be said with these verbs: what only reads side by side, after what changes something."""
        words = [f"{verb} {rest}" for verb in verbs for rest in SAID[verb]]
        changing = [line for line in words if line.split()[0] in CHANGING]
        for line in changing:
            self.hear(line)
        with ThreadPoolExecutor(2) as voices:
            list(voices.map(self.hear, [line for line in words if line not in changing]))

    def hear(self, line: str) -> Outcome:
        operator = ["--operator", "operator.yaml"] if "repository" in line and not line.startswith("config") else []
        words = (sys.executable, "-m", "reconciler", *line.split(), *operator)
        engine = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
        environment = {**engine, "PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "HOME": str(self.directory)}
        environment["RECONCILER_STATE"] = str(self.directory / "state")
        done = subprocess.run(words, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=60)
        outcome = Outcome(done.returncode, done.stdout, done.stderr)
        self.outcomes.append((line, outcome))
        return outcome

    def where(self, canary: str) -> list[str]:
        """Return every place where a canary came out: a line that was printed, a file that was written."""
        printed = [f"`{line}`: {text}" for line, one in self.outcomes for text in _lines(one, canary)]
        return printed + [str(path) for path in self.written() if canary.encode() in path.read_bytes()]

    def written(self) -> list[Path]:
        """Return the files of the state directory, and the plan."""
        return [self.directory / "plan.json", *(path for path in (self.directory / "state").rglob("*") if path.is_file())]


def _lines(outcome: Outcome, canary: str) -> list[str]:
    return [line for line in f"{outcome.out}\n{outcome.err}".splitlines() if canary in line]


@pytest.fixture(scope="module")
def told(engine: docker.APIClient, busybox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    told = Told(tmp_path_factory.mktemp("canaries"))
    remove_environment(engine, ENVIRONMENT)
    _write(told.directory, Canaries(1), COMPOSE)
    told.say("validate", "plan", "config", "apply")
    _write(told.directory, Canaries(2), COMPOSE)
    told.say("plan", "diff")
    assert told.hear("explain shop/app --source repository").code == 0
    assert told.hear("apply plan.json --source repository").code == 0
    _write(told.directory, Canaries(2), COMPOSE.replace("configs:\n  settings", f"{FAILURES}configs:\n  settings"))
    told.say("plan", "apply")
    told.say("status", "diff", "explain", "run", "history", "retry", "suspend", "plan", "resume", "adopt", "rollback", "scale")
    told.say("audit")
    for mistake in MISTAKES:
        _write(told.directory, Canaries(2), COMPOSE.replace("services:\n", f"services:\n{mistake}"))
        told.say("validate")
        told.hear("plan repository")
    told.say("config", "run", "apply", "status", "history", "schema", "docs", "completion", "health")
    yield told
    remove_environment(engine, ENVIRONMENT)


def _write(top: Path, canaries: Canaries, compose: str) -> None:
    word = canaries.word
    entry = "{path: shop, project: p7canaries-shop}"
    variables = {"DOTENV": "dotenv", "COMMAND": "command", "LABEL": "label", "HEALTH": "health", "HOOK": "hook"}
    variables |= {"CONFIG": "config", "SECRET": "secret-variable"}
    files = {
        "operator.yaml": f"policy: open\nenvironment: {{shop: {{OPERATOR: {word('operator')}}}}}\n",
        "repository/reconciler.yaml": f"api: v1\nname: {ENVIRONMENT}\nstacks: {{shop: {entry}}}\n",
        "repository/shop/.env": "".join(f"{name}={word(place)}\n" for name, place in variables.items()),
        "repository/shop/app.env": f"FROM_FILE={word('env-file')}\n",
        "repository/shop/password.txt": word("secret-file"),
        "repository/shop/compose.yaml": canaries.filled(compose),
    }
    for path, text in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)


@pytest.mark.parametrize(("place", "generation"), tuple(itertools.product(PLACES, (1, 2))))
def test_nothing_that_is_printed_or_written_holds_a_secret(place: str, generation: int, told: Told) -> None:
    assert told.where(Canaries(generation).word(place)) == []


def test_the_secrets_were_really_there(told: Told, engine: docker.APIClient) -> None:
    detail = engine.inspect_container("p7canaries-shop-app-1")
    held = {place for place in PLACES if Canaries(2).word(place) in json.dumps(detail)}
    delivered = {"config", "secret-file", "secret-variable"}
    assert held == set(PLACES) - delivered - {"hook", "said"}


def test_every_failure_and_every_mistake_was_really_told(told: Told) -> None:
    text = "\n".join(one.out + one.err for _, one in told.outcomes)
    for sign in ("executable file not found", "unable to find user", "unhealthy", "exited with 3", "exit code 7"):
        assert sign in text
    assert {path.name for path in told.written() if b"no-program" in path.read_bytes()} > {"plan.json"}
    wrong = [one for line, one in told.outcomes if line == "validate repository --format text" and one.code]
    assert len(wrong) == len(MISTAKES)


def test_no_verb_failed_for_a_reason_of_our_own(told: Told) -> None:
    assert not [line for line, one in told.outcomes if "bug in reconciler" in one.err or "usage:" in one.err]


def test_every_verb_is_tried() -> None:
    assert VERBS.keys() == SAID.keys() | UNSAID.keys()
