"""Which operations are broken off at each of their calls, and how does each one end when nothing goes wrong?

PROJECT stands for a name that nobody else uses. What is wanted is said in other words than in the files that ask for it:
a line for each container, network and volume of the project, and for each time that a job ran.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operation:
    """From what is there to what is wanted: by `apply`, or by another verb that changes what runs.

    wanted     what is there afterwards
    kept_back  whether `apply` ends with 1 then, because it is not all that Git asks for, and on purpose
    verb       words of the command that does it, `apply` where there is none
    forgotten  what is there afterwards when the state directory was lost, and with it what was kept back
    composes   whether docker compose has the like
    gateway    the image of the gateway before and after, () where there is none; PORT is a port that it may have
    """

    name: str
    before: str
    after: str
    wanted: tuple[str, ...]
    kept_back: bool = False
    verb: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    composes: bool = True
    gateway: tuple[str, ...] = ()


_SERVICE = """
    image: busybox:1.36
    init: true
    stop_grace_period: 1s
    command: [sleep, "100000"]
    environment: {{VERSION: "{version}"}}
    healthcheck: {{test: [CMD, "{check}"], interval: 200ms, retries: 2}}
"""


def _service(version: int = 1, check: str = "true") -> str:
    return _SERVICE.format(version=version, check=check).rstrip()


def _web(version: int = 1, replicas: int = 1) -> str:
    return f"""name: PROJECT
services:
  web:{_service(version)}
    deploy: {{replicas: {replicas}, update_config: {{order: start-first}}}}
"""


def _database(version: int = 1, check: str = "true") -> str:
    return f"""name: PROJECT
services:
  db:{_service(version, check)}
    volumes: [data:/data]
volumes:
  data:
"""


def _named(version: int) -> str:
    return f"""name: PROJECT
services:
  web:{_service(version)}
    container_name: PROJECT-door
"""


def _networks(web: str) -> str:
    return f"""name: PROJECT
services:
  web:{_service()}
    networks: [{web}]
  worker:{_service()}
    networks: [front, back]
networks:
  front:
  back:
"""


def _job(version: int) -> str:
    return f"""name: PROJECT
services:
  migrate:
    image: busybox:1.36
    command: [sh, -c, "echo {version} >>/ran/versions"]
    environment: {{VERSION: "{version}"}}
    volumes: [ran:/ran]
  web:{_service(version)}
    volumes: [ran:/ran:ro]
    depends_on:
      migrate: {{condition: service_completed_successfully}}
volumes:
  ran:
"""


_PRUNED = f"""
  old:{_service()}
    networks: [legacy]
networks:
  legacy:
"""
_RENAMED = _web().replace("  web:", "  site:")

_DEFAULT = "network default"
_DATA = (_DEFAULT, "volume data")

OPERATIONS = (
    Operation(
        "create",
        "name: PROJECT\nservices: {}\n",
        _database(),
        ("db-1 version 1 healthy on default", *_DATA),
    ),
    Operation("replace, start-first", _web(1), _web(2), ("web-1 version 2 healthy on default", _DEFAULT)),
    Operation("replace, stop-first", _database(1), _database(2), ("db-1 version 2 healthy on default", *_DATA)),
    Operation("named container", _named(1), _named(2), ("door version 2 healthy on default", _DEFAULT)),
    Operation(
        "scale up",
        _web(replicas=1),
        _web(replicas=3),
        (*(f"web-{number} version 1 healthy on default" for number in (1, 2, 3)), _DEFAULT),
    ),
    Operation("scale down", _web(replicas=3), _web(replicas=1), ("web-1 version 1 healthy on default", _DEFAULT)),
    Operation("rename", _web(), _RENAMED, ("site-1 version 1 healthy on default", _DEFAULT)),
    Operation(
        "network change",
        _networks("front"),
        _networks("back"),
        ("web-1 version 1 healthy on back", "worker-1 version 1 healthy on back front", "network back", "network front"),
    ),
    Operation(
        "job",
        _job(1),
        _job(2),
        (
            "migrate-1 version 2 exited 0 on default",
            "web-1 version 2 healthy on default",
            _DEFAULT,
            "volume ran",
            "ran 1",
            "ran 2",
        ),
    ),
    Operation("prune", _web() + _PRUNED, _web(), ("web-1 version 1 healthy on default", _DEFAULT)),
    Operation(
        "back from a failed version",
        _database(1),
        _database(2, check="false"),
        ("db-1 version 1 healthy on default", *_DATA),
        kept_back=True,
        composes=False,
    ),
    Operation(
        "rollback",
        _web(1),
        _web(2),
        ("web-1 version 1 healthy on default", _DEFAULT),
        kept_back=True,
        verb=("rollback", "shop"),
        # A rollback that has not come to stand in Git is forgotten with the state directory; then Git has the word.
        forgotten=("web-1 version 2 healthy on default", _DEFAULT),
        composes=False,
    ),
)


# --- behind the gateway ------------------------------------------------------------------------------------------------


def _served(version: int = 1, replicas: int = 2, rollout: str = "", check: str = "true") -> str:
    return f"""name: PROJECT
services:
  web:{_service(version, check).replace('[sleep, "100000"]', "[httpd, -f]")}
    ports: ["PORT:80"]
    x-traffic: gateway
    deploy: {{replicas: {replicas}}}
{rollout}"""


_BLUE_GREEN = "    x-rollout: {strategy: blue-green, blue_green: {keep_old: 1s}}\n"
_CANARY = "    x-rollout: {strategy: canary, canary: {steps: [{weight: 20, pause: 1s}, {weight: 50, pause: 1s}]}}\n"
_OLDEST, _NEWER = "local/haproxy:2.6", "local/haproxy:3"


def _serving(version: int, replicas: int) -> tuple[str, ...]:
    """Return what is there when so many replicas serve, and the gateway sends to each of them alike, and to nobody else."""
    slots = range(1, replicas + 1)
    webs = (f"web-{number} version {version} healthy on default" for number in slots)
    return (*webs, *(f"web-{number} gets 100 of port 80" for number in slots), _DEFAULT)


def _behind(name: str, before: str, after: str, wanted: tuple[str, ...], image: str = _OLDEST, **more: bool) -> Operation:
    return Operation(f"gateway: {name}", before, after, wanted, composes=False, gateway=(_OLDEST, image), **more)


BEHIND_THE_GATEWAY = (
    _behind("rolling", _served(1), _served(2), _serving(2, 2)),
    _behind("blue-green", _served(1, 2, _BLUE_GREEN), _served(2, 2, _BLUE_GREEN), _serving(2, 2)),
    _behind("canary", _served(1, 2, _CANARY), _served(2, 2, _CANARY), _serving(2, 2)),
    _behind("a broken version", _served(1), _served(2, check="false"), _serving(1, 2), kept_back=True),
    _behind("scale down", _served(replicas=3), _served(replicas=1), _serving(1, 1)),
    _behind("another image", _served(), _served(), _serving(1, 2), _NEWER),
)
"""What no other tool has the like of: each call is made through the engine here, what is said to the gateway among them."""
