"""An ssh server on a port of this machine, and an `ssh` program that trusts it, and is trusted by it, without asking."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path

from waiting import free_port, until

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass(frozen=True)
class SshServer:
    """`programs` is a directory with an `ssh` that reads our configuration: to be put first in PATH."""

    directory: Path
    port: int
    daemon: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def programs(self) -> Path:
        return self.directory / "bin"

    @property
    def address(self) -> str:
        return f"ssh://{getuser()}@127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End every connection there is."""
        subprocess.run(["pkill", "-KILL", "-P", str(self.daemon[0].pid)], check=True)

    def forget_host(self) -> None:
        """Let the client know no host any more."""
        (self.directory / "known_hosts").write_text("")

    def forget_user(self) -> None:
        """Let the server know no user any more."""
        (self.directory / "authorized_keys").write_text("")


@contextmanager
def ssh_server(directory: Path) -> Iterator[SshServer]:
    server = SshServer(directory, free_port())
    _make_keys(server)
    _write_settings(server)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    assert SSHD is not None
    daemon = subprocess.Popen([SSHD, "-D", "-e", "-f", str(directory / "sshd_config")], stderr=subprocess.DEVNULL)
    server.daemon.append(daemon)
    try:
        _await(server.port)
        yield server
    finally:
        daemon.terminate()
        daemon.wait()


def _make_keys(server: SshServer) -> None:
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(server.directory / name)], check=True)
    public = (server.directory / "host.pub").read_text()
    (server.directory / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {public}")
    shutil.copy(server.directory / "user.pub", server.directory / "authorized_keys")


def _write_settings(server: SshServer) -> None:
    here = server.directory
    (here / "sshd_config").write_text(
        f"Port {server.port}\nListenAddress 127.0.0.1\nHostKey {here / 'host'}\nAuthorizedKeysFile {here / 'authorized_keys'}\n"
        "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n"
    )
    (here / "ssh_config").write_text(
        f"IdentityFile {here / 'user'}\nIdentitiesOnly yes\nUserKnownHostsFile {here / 'known_hosts'}\n"
    )
    program = server.programs / "ssh"
    program.parent.mkdir()
    # ssh finds the home directory in the list of users, not in the environment.
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {here / "ssh_config"} "$@"\n')
    program.chmod(0o755)


def _await(port: int) -> None:
    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    until(listens, "sshd listens", 10)
