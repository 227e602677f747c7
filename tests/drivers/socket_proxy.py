"""How does the socket proxy of the guide run here: a HAProxy with the guide's own file, at another address?"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from waiting import free_port, until

GUIDE = Path(__file__).parents[2] / "reconciler/docs/guides/run-as-a-container.md"
DEADLINE_SECONDS = 30.0


def configuration() -> str:
    """Return the guide's haproxy.cfg."""
    (found,) = re.findall(r"```haproxy\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return str(found)


@contextmanager
def socket_proxy(directory: Path, host: str, engine: Path) -> Iterator[str]:
    """Run it in front of an engine's socket; yield its address, HOST:PORT. Skips the test where there is no HAProxy."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed; `make test` installs it where it would not start by itself")
    address = f"{host}:{free_port(host)}"
    text = configuration().replace("bind :2375", f"bind {address}").replace("/var/run/docker.sock", str(engine))
    (directory / "haproxy.cfg").write_text(text)
    with subprocess.Popen(("haproxy", "-f", str(directory / "haproxy.cfg")), stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: status(address, "GET", "/_ping") == 200, "an engine answers through the proxy", DEADLINE_SECONDS)
            yield address
        finally:
            process.kill()


def status(address: str, method: str, path: str) -> int:
    """Return how a call is answered, 0 when nobody answers."""
    connection = HTTPConnection(address, timeout=DEADLINE_SECONDS)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    except ConnectionError:
        return 0
    finally:
        connection.close()
