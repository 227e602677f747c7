"""What do clients of a service lose while it changes behind the gateway, and what with docker compose beside it?"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from open_loop import Answer, Running
from private_engine import PrivateEngine, private_engine
from waiting import free_port, until

from benchmarks.composed import COMPOSED, composed
from benchmarks.places import Place
from benchmarks.repositories import IMAGE
from benchmarks.scene import DEADLINE_SECONDS, NEW, OLD, Scene, Web, answers, clients, during, stage

FULL, SMALL = 5_000, 600
PER_SECOND = 80.0

BLUE_GREEN = "x-rollout: {strategy: blue-green, blue_green: {keep_old: 5s}}"
CANARY = (
    "x-rollout: {{strategy: canary, canary: {{steps: [{{weight: {weight}, pause: {pause:.0f}s}}, {{weight: 50, pause: 5s}}]}}}}"
)
SHARE = 10
SHIFTING_SECONDS = 3.0
"""A step ends so much earlier at most than its pause says of the first request that it brought."""
MANY = 4
CRASH = "a replica crashes now"
NOTICED_SECONDS = 1.0
"""By then nobody is sent to a replica that crashed."""
BROKEN = '[sh, -c, "exit 3"]'


@dataclass(frozen=True, slots=True)
class Play:
    """A scene with its clients, and how long a canary is to be looked at."""

    scene: Scene
    running: Running
    pause: float


@dataclass(frozen=True, slots=True)
class Case:
    """Something that happens to a service.

    act      does it, to its end; returns what there is to say of it, "" for nothing
    before   what runs when it begins
    excuses  returns how many of the requests that were lost were a replica's that crashed
    own      whether it needs an engine that nobody else uses
    losses   whether some are to be expected: then only their number is told
    """

    name: str
    act: Callable[[Play], str]
    before: Callable[[float], Web] = lambda pause: Web()
    excuses: Callable[[Play], int] = lambda play: 0
    own: bool = False
    losses: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the requests of a case; `least` is how many were in flight all the time while it happened."""

    case: str
    answers: Sequence[Answer] = field(repr=False)
    least: int
    seconds: float
    excused: int
    note: str = ""
    summary: str = ""

    @property
    def cut(self) -> int:
        """Without any answer: refused, reset, ended in the middle."""
        return sum(one.status == 0 for one in self.answers)

    @property
    def failed(self) -> int:
        """Answered with 5xx."""
        return sum(one.status >= 500 for one in self.answers)

    @property
    def wrong(self) -> int:
        """Answered by somebody else's container."""
        return sum(not one.is_lost and not one.body.startswith("web ") for one in self.answers)

    @property
    def lost(self) -> int:
        """Lost without an excuse."""
        return max(0, self.cut + self.failed - self.excused)


# --- what happens --------------------------------------------------------------------------------------------------------


def _update(play: Play) -> str:
    before = play.scene.asked
    play.scene.change(replace(before, version=2))
    return ""


def _canary(play: Play) -> str:
    play.scene.change(replace(play.scene.asked, version=2))
    first = min(one.begun for one in play.running.answers if one.body.startswith("web 2 "))
    end = first + play.pause - SHIFTING_SECONDS
    of_step = [one for one in play.running.answers if first < one.begun < end]
    share = 100 * sum(one.body.startswith("web 2 ") for one in of_step) / len(of_step)
    return f"{share:.1f} % of {len(of_step)} requests at a weight of {SHARE} %"


def _aborted(play: Play) -> str:
    before = play.scene.asked
    play.scene.ask(replace(before, version=2))
    until(lambda: any(one.body.startswith("web 2 ") for one in play.running.answers), "the canary serves", 120)
    play.scene.place.say("rollout", "abort", "app/web")
    play.scene.settle(before)
    return ""


def _broken(play: Play) -> str:
    before = play.scene.asked
    play.scene.ask(replace(before, version=2, command=BROKEN))
    until(lambda: any(version == "2" for _, version in play.scene.serving()), "the broken version is tried", 60)
    play.scene.settle(before)
    return ""


def _scaled(play: Play) -> str:
    before = play.scene.asked
    play.scene.change(replace(before, replicas=MANY))
    play.scene.change(before)
    return ""


def _reloaded(play: Play) -> str:
    for name in ("front", "side", "back"):
        play.scene.others[name] = free_port("")
        play.scene.change(play.scene.asked)
        until(lambda: answers(play.scene.others[name]), f"{name} answers", 60)  # noqa: B023 - waited for here
    play.scene.others.clear()
    play.scene.change(play.scene.asked)
    until(lambda: not play.scene.containers("front"), "the others are gone", 60)
    return ""


def _upgraded(play: Play) -> str:
    before = play.scene.gateways()
    play.scene.leave()
    play.scene.gateway = NEW
    play.scene.begin()
    until(lambda: len(now := play.scene.gateways()) == 1 and now != before, "the new gateway serves alone", 120)
    return f"{OLD} → {NEW}"


def _killed(play: Play) -> str:
    """Kill it as soon as it has changed something, again and again."""
    scene, kills = play.scene, 0
    scene.ask(replace(scene.asked, version=2))
    while scene.runs(1) or not scene.runs(2):
        before = scene.serving()
        until(lambda: scene.serving() != before, scene.told, DEADLINE_SECONDS)  # noqa: B023 - waited for here
        scene.kill()
        kills += 1
        scene.begin()
    scene.settle(scene.asked)
    return f"killed {kills} times"


def _forgotten(play: Play) -> str:
    play.scene.ask(replace(play.scene.asked, version=2))
    until(lambda: play.scene.runs(2), "the new version is begun", 60)
    play.scene.kill()
    shutil.rmtree(play.scene.place.state)
    play.scene.begin()
    play.scene.settle(play.scene.asked)
    return ""


def _crashed(play: Play) -> str:
    fewer = replace(play.scene.asked, replicas=2)
    play.scene.ask(fewer)
    until(play.scene.drains, "somebody drains", 60)
    play.running.phase(CRASH)
    play.scene.crash("web-1")
    play.scene.settle(fewer)
    return ""


def _with_the_replica(play: Play) -> int:
    """Those that the gateway's log tells of, and those of which HAProxy never tells.

    Where a request is not the first one of its connection, and its server breaks off, it only closes the connection: clients
    are to send such a request again.
    """
    (crash,) = (at for at, what in play.running.phases if what == CRASH)
    silent = [one for one in play.running.lost if one.kept and not one.status and one.begun + one.took > crash]
    return play.scene.lost_with_replicas() + sum(one.begun < crash + NOTICED_SECONDS for one in silent)


def _gateway_killed(play: Play) -> str:
    (gateway,) = play.scene.gateways()
    play.scene.engine.ask("POST", f"/containers/{gateway}/kill")
    until(play.scene.answers, play.scene.told, 60)
    return ""


def _engine_restarted(play: Play) -> str:
    assert play.scene.private is not None
    play.scene.private.kill()
    play.scene.private.start()
    play.scene.connect()
    play.scene.settle(play.scene.asked)
    until(play.scene.answers, play.scene.told, 60)
    return ""


CASES = (
    Case("rolling update", _update),
    Case("blue-green", _update, lambda pause: Web(keys=(BLUE_GREEN,))),
    Case("canary to 100 %", _canary, lambda pause: Web(keys=(CANARY.format(weight=SHARE, pause=pause),))),
    Case("canary aborted", _aborted, lambda pause: Web(keys=(CANARY.format(weight=SHARE, pause=600),))),
    Case("a broken version", _broken),
    Case("scaled up and down", _scaled),
    Case("gateway loaded anew", _reloaded),
    Case("gateway's image", _upgraded),
    Case("reconciler killed", _killed),
    Case("state lost", _forgotten),
    Case("a replica crashes", _crashed, lambda pause: Web(replicas=MANY), excuses=_with_the_replica),
    Case("gateway crashes", _gateway_killed, losses=True),
    Case("engine restarts", _engine_restarted, own=True, losses=True),
)


# --- what is measured ----------------------------------------------------------------------------------------------------


def tried(case: Case, requests: int, rate: float) -> Result:
    """Try a case with so many requests at least. Raises Failed when what was asked for does not come about."""
    # Long enough for the share of a canary to be known to one percentage point.
    pause = 0.42 * requests / rate + SHIFTING_SECONDS
    with ExitStack() as places:
        root = Path(places.enter_context(TemporaryDirectory()))
        own = places.enter_context(_own_engine(root / "engine")) if case.own else None
        place = Place(root / "place", f"traffic{os.getpid()}", own.url if own else "")
        scene = places.enter_context(stage(place, case.before(pause), private=own))
        notes = []
        with clients(scene.port, rate, requests) as running:
            play = Play(scene, running, pause)
            began, ended = during(running, lambda: notes.append(case.act(play)), case.name)
        least = running.least_in_flight(began, ended)
        return Result(case.name, running.answers, least, ended - began, case.excuses(play), notes[0], running.summary())


def beside(case: Case, requests: int, rate: float, *, behind: bool) -> Result | None:
    """Try the same with docker compose; None where it has nothing of the kind."""
    change = COMPOSED.get(case.name)
    # Several replicas cannot publish one port.
    if change is None or (not behind and case.act is _scaled):
        return None
    web = Web(replicas=2 if behind else 1)
    with TemporaryDirectory() as folder, composed(Path(folder), f"traffic{os.getpid()}", web, behind=behind) as project:
        if project is None:
            return None
        with clients(project.port, rate, requests) as running:
            began, ended = during(running, lambda: change(project, web), case.name)
        return Result(case.name, running.answers, running.least_in_flight(began, ended), ended - began, 0)


@contextmanager
def _own_engine(directory: Path) -> Iterator[PrivateEngine]:
    """Have an engine of our own, with the images that a scene runs."""
    with private_engine(directory) as engine:
        for image in (IMAGE, OLD):
            saved = subprocess.run(("docker", "save", image), capture_output=True, check=True)
            subprocess.run(("docker", "--host", engine.url, "load"), input=saved.stdout, capture_output=True, check=True)
        yield engine


# --- what is told --------------------------------------------------------------------------------------------------------

HEAD = (
    "what happens",
    "requests",
    "in flight",
    "took",
    "no answer",
    "5xx",
    "wrong container",
    "compose, port",
    "compose, HAProxy",
)


def main() -> int:
    """Print the table. Returns 1 when a request was lost that should not be, or answered by a wrong container."""
    args = _arguments()
    chosen = [case for case in CASES if not args.cases or case.name in args.cases]
    print(_line(HEAD), _line("---" for _ in HEAD), sep="\n", flush=True)
    bad = 0
    for case in chosen:
        result = tried(case, args.requests, args.rate)
        rivals = [beside(case, args.requests, args.rate, behind=behind) for behind in (False, True)] if args.compose else []
        print(_line(_row(result, rivals)), flush=True)
        if result.wrong or (result.lost and not case.losses):
            bad += 1
            print(result.summary, file=sys.stderr, flush=True)
    return 1 if bad else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make test-traffic", description=__doc__)
    names = [case.name for case in CASES]
    parser.add_argument("cases", nargs="*", choices=[[], *names], metavar="CASE", help=f"default: all of {', '.join(names)}")
    parser.add_argument("--requests", type=int, default=FULL, help=f"at least so many in each case (default: {FULL})")
    parser.add_argument("--rate", type=float, default=PER_SECOND, help=f"so many a second (default: {PER_SECOND:g})")
    parser.add_argument("--compose", action="store_true", help="have docker compose make the same changes beside us")
    return parser.parse_args()


def _row(result: Result, rivals: Sequence[Result | None]) -> Iterator[str]:
    yield f"{result.case} ({result.note})" if result.note else result.case
    yield f"{len(result.answers):,}"
    yield f"≥ {result.least}"
    yield f"{result.seconds:.0f} s"
    yield f"{result.cut} ({result.excused} with the replica)" if result.excused else str(result.cut)
    yield str(result.failed)
    yield str(result.wrong)
    yield from (f"{one.cut + one.failed:,} of {len(one.answers):,}" if one else "" for one in rivals)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
