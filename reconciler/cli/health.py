"""Is the resident reconciler of this machine well? `reconciler health`, for supervisors and the image's HEALTHCHECK."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from reconciler.cli.place import configure_state, place_of

if TYPE_CHECKING:
    from reconciler.wiring import Workplace

PATIENCE_SECONDS = 5.0
STALE = timedelta(minutes=10)
"""Without a page to ask: a loop whose last recorded turn is older does not come round. Intervals are shorter."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    configure_state(parser)
    parser.add_argument("--operator", metavar="FILE", help="the operator's file, which may say `listen` (RECONCILER_OPERATOR)")
    parser.add_argument("--listen", metavar="HOST:PORT", help="where `run --listen` serves its pages (RECONCILER_LISTEN)")
    parser.add_argument("--ready", action="store_true", help="ask whether it does its work, not only whether it lives")


def run(args: argparse.Namespace) -> int:
    """Ask the resident's page, or look at the last turn it recorded. Returns 0 when it is well, else 1."""
    place = place_of(args)
    listen = place.settings.operator.listen
    well, said = _asked(listen, "/readyz" if args.ready else "/healthz") if listen else _last_turn(place)
    (sys.stdout if well else sys.stderr).write(f"{said}\n")
    return 0 if well else 1


def _asked(address: str, page: str) -> tuple[bool, str]:
    from reconciler.api.http import listen_address

    host, port = listen_address(address)
    connection = HTTPConnection(_reachable(host), port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        document = json.loads(answer.read())
    except (OSError, HTTPException, ValueError) as error:
        return False, f"nothing answers at {address}: {error or type(error).__name__}"
    finally:
        connection.close()
    return answer.status == 200, _told(document)


def _reachable(host: str) -> str:
    """Return the address of this machine to ask, for a server that listens on all of them."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _told(document: dict[str, object]) -> str:
    reason = document.get("reason")
    return f"{document.get('status')}: {reason}" if reason else str(document.get("status"))


def _last_turn(place: Workplace) -> tuple[bool, str]:
    turns = place.store().turns(1)
    if not turns:
        return False, "no turn has been recorded yet"
    age = place.clock().now() - turns[0].finished
    if age > STALE:
        return False, f"the last turn ended {age.total_seconds():.0f} s ago"
    return True, f"ok: the last turn ended {age.total_seconds():.0f} s ago"
