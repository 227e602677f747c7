"""Real Git remotes for tests: a bare repository, and a small web server in front of one."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada Lovelace",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada Lovelace",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "1750000000 +0200",
    "GIT_COMMITTER_DATE": "1750000000 +0200",
}


def git(directory: Path, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> str:
    """Run git in a repository and return what it printed."""
    command = ["git", "--git-dir", str(directory), *arguments]
    done = subprocess.run(command, input=data, env=_ENVIRONMENT | dict(environment or {}), capture_output=True, check=True)
    return done.stdout.decode().strip()


@dataclass(frozen=True)
class Special:
    """An entry that is no ordinary file: `mode` as in a tree; `content` is a link's target or a submodule's commit."""

    mode: str
    content: str


@dataclass(frozen=True)
class Remote:
    """A bare repository that stands for a hosting service."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> Remote:
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--bare", "--initial-branch=main")
        git(path, "config", "http.receivepack", "false")
        return cls(path)

    def commit(
        self,
        files: Mapping[str, str | bytes | Special],
        message: str = "change",
        *,
        branch: str = "main",
        onto: str | None = None,
    ) -> str:
        """Commit exactly these files on a branch, after its tip or `onto` ("" for none), and return the id."""
        index = {"GIT_INDEX_FILE": str(self.path / "index.test")}
        lines = [self._index_line(name, content) for name, content in files.items()]
        git(self.path, "read-tree", "--empty", environment=index)
        git(self.path, "update-index", "-z", "--index-info", data="".join(lines).encode(), environment=index)
        tree = git(self.path, "write-tree", "--missing-ok", environment=index)
        parent = self.tip(branch) if onto is None else onto
        commit = git(self.path, "commit-tree", *(["-p", parent] if parent else []), "-m", message, tree)
        git(self.path, "update-ref", f"refs/heads/{branch}", commit)
        return commit

    def tip(self, branch: str = "main") -> str:
        return git(self.path, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def delete(self, branch: str) -> None:
        git(self.path, "update-ref", "-d", f"refs/heads/{branch}")

    def _index_line(self, name: str, content: str | bytes | Special) -> str:
        match content:
            case Special("160000", commit):
                return f"160000 {commit}\t{name}\0"
            case Special(mode, text):
                return f"{mode} {self._blob(text.encode())}\t{name}\0"
            case str(text):
                return f"100644 {self._blob(text.encode())}\t{name}\0"
            case data:
                return f"100644 {self._blob(data)}\t{name}\0"

    def _blob(self, data: bytes) -> str:
        return git(self.path, "hash-object", "-w", "--stdin", data=data)


@dataclass
class Web:
    """A web server for the repositories below `root`; `status` or `hang` make it fail on purpose."""

    root: Path
    authorization: str = ""
    status: int = 0
    hang: bool = False
    redirect: str = ""
    port: int = 0
    scheme: str = "http"
    seen: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def url(self, repository: str = "state.git") -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/{repository}"


@contextmanager
def serve(web: Web, certificate: Path | None = None) -> Iterator[Web]:
    """Serve until the block ends, over TLS when a certificate (with its key in one file) is given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(web))
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        web.scheme = "https"
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        web.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def make_certificate(directory: Path) -> Path:
    """Make a certificate for 127.0.0.1 that vouches for itself, with its key in the same file."""
    path = directory / "server.pem"
    subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = ["openssl", "req", "-x509", *key, *subject, "-keyout", str(path), "-out", str(directory / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + (directory / "cert.pem").read_bytes())
    return path


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

        def _serve(self, body: bytes) -> None:
            web.seen.append(self.headers.get("Authorization", ""))
            if web.hang:
                web.closing.wait(30)
            elif web.redirect:
                self._answer(302, {"Location": web.redirect + self.path}, b"")
            elif web.status:
                self._answer(web.status, {}, b"")
            elif web.authorization and web.authorization != self.headers.get("Authorization"):
                self._answer(401, {"WWW-Authenticate": 'Basic realm="test"'}, b"")
            else:
                self._backend(body)

        def _backend(self, body: bytes) -> None:
            path, _, query = self.path.partition("?")
            environment = _ENVIRONMENT | {
                "GIT_PROJECT_ROOT": str(web.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self._answer(int(headers.pop("Status", "200").split()[0]), headers, content)

        def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | dict(headers)).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return Handler


def program(directory: Path, name: str, script: str) -> Callable[[], str]:
    """Put a shell script on a search path of its own and return what gives that path."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return lambda: f"{directory}:{os.environ['PATH']}"
