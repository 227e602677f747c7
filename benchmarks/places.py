"""Where does a benchmark work: what is asked for, a state directory, and our command line beside docker compose's?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]
OURS = (sys.executable, "-m", "reconciler")


class Failed(Exception):
    """A command that is measured did not do what it was to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory of its own for one environment. `engine` is the address of one, "" for the usual."""

    root: Path
    environment: str
    engine: str = ""

    @property
    def repository(self) -> Path:
        return self.root / "repository"

    @property
    def state(self) -> Path:
        return self.root / "state"

    def write(self, files: Mapping[str, str]) -> None:
        """Ask for this."""
        for path, text in files.items():
            file = self.repository / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def forget(self) -> None:
        """Begin with no state directory."""
        shutil.rmtree(self.state, ignore_errors=True)

    def run(self, *words: str) -> str:
        """Run our command line on the repository; return what it prints. Raises Failed."""
        return self.say(*words, str(self.repository))

    def say(self, *words: str) -> str:
        """Run our command line with these words alone; return what it prints. Raises Failed."""
        return _said((*OURS, *words), self.environ())

    @contextmanager
    def resident(self) -> Iterator[subprocess.Popen[str]]:
        """Have a reconciler stay for the block, which begins when its first turn is done."""
        words = (*OURS, "run", str(self.repository))
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=self.environ()) as process:
            try:
                assert process.stderr is not None
                if not process.stderr.readline():
                    raise Failed("the resident ended before its first turn did")
                yield process
            finally:
                process.terminate()

    def environ(self) -> dict[str, str]:
        """Return the variables that our command line is run with here."""
        engine = {"DOCKER_HOST": self.engine} if self.engine else {}
        return {**os.environ, "PYTHONPATH": str(PROJECT), "RECONCILER_STATE": str(self.state), **engine}


@dataclass(frozen=True, slots=True)
class Compose:
    """A project of docker compose's."""

    program: str
    file: Path
    project: str

    @classmethod
    def find(cls, file: Path, project: str) -> Compose | None:
        """Return it as far as this machine has docker compose 2."""
        found = subprocess.run((PROJECT / "tests/tools/get-docker-compose",), capture_output=True, text=True)
        return cls(found.stdout.strip(), file, project) if found.returncode == 0 else None

    def run(self, *words: str) -> str:
        """Run `docker compose WORDS`; return what it prints. Raises Failed."""
        return _said((self.program, "--project-name", self.project, "--file", str(self.file), *words), dict(os.environ))


def _said(words: tuple[str, ...], environ: Mapping[str, str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, env=dict(environ), timeout=600)
    if done.returncode not in (0, 2):
        raise Failed(f"{' '.join(words)}: {done.returncode}\n{done.stderr}{done.stdout}")
    return done.stdout
