"""nginx and Caddy as the samples in `deploy/` describe them, on free loopback ports, and a client of theirs."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from promotions.local.workspaces import ROOT
from tests.patience import PATIENCE_S, wait_for
from tests.ports import keep_port, number_of

HOST = "doorstep.example"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; a header that came twice is in the list twice."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Addresses of the web processes, `host:port`; several of `web` are separated by a space."""

    fixes: str
    web: str


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy, its ports and the folder of its logs."""

    name: str
    http_port: int
    https_port: int
    folder: Path

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] = {},
        body: bytes | None = None,
        tls: bool = True,
        host: str = HOST,
    ) -> Answer:
        """One request on a separate connection, with the path unchanged."""
        peer = HTTPConnection("127.0.0.1", self.https_port if tls else self.http_port, timeout=PATIENCE_S)
        peer.connect()
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            peer.sock = context.wrap_socket(peer.sock, server_hostname=HOST)
        try:
            peer.request(method, path, body, {"Host": host, **headers})
            response = peer.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            peer.close()

    def logs(self, *, until: str) -> str:
        """Everything that the proxy wrote, once that holds a text: both write after the answer."""

        def read() -> str:
            return "\n".join(path.read_text("utf-8", "replace") for path in sorted(self.folder.glob("*.log")))

        wait_for(lambda: until in read())
        return read()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for the sample's host name, and its key."""
    certificate, key = folder / "fullchain.pem", folder / "privkey.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], capture_output=True, check=True)
    return certificate, key


def _replace(text: str, given: Mapping[str, str]) -> str:
    for old, new in given.items():
        assert old in text, f"the sample has no {old!r} any more"
        text = text.replace(old, new)
    return text


def write_nginx(folder: Path, upstreams: Upstreams, http_port: int, https_port: int) -> list[str]:
    """The sample with other ports and places, and the command that runs it."""
    certificate, key = make_certificate(folder)
    sample = (ROOT / "deploy/nginx/doorstep.conf").read_text(encoding="utf-8")
    sample = "\n".join(line for line in sample.splitlines() if "listen [::]:" not in line)
    web = "\n".join(f"server {address};" for address in upstreams.web.split())
    sample = _replace(
        sample,
        {
            "listen 80": f"listen 127.0.0.1:{http_port}",
            "listen 443": f"listen 127.0.0.1:{https_port}",
            "server 127.0.0.1:8000;": f"server {upstreams.fixes};",
            "server 127.0.0.1:8001;": web,
            "/etc/ssl/doorstep/fullchain.pem": str(certificate),
            "/etc/ssl/doorstep/privkey.pem": str(key),
            "/var/log/nginx": str(folder),
        },
    )
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{place}_temp_path {folder}/{place};\n" for place in places)
    (folder / "sample.conf").write_text(sample, encoding="utf-8")
    # Its workers buffer bodies in the folder, which is this user's alone.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/main.log warn;\nevents {{}}\n"
        f"http {{\n{temporary}include {folder}/sample.conf;\n}}\n",
        encoding="utf-8",
    )
    return ["nginx", "-e", f"{folder}/main.log", "-c", f"{folder}/nginx.conf"]


def write_caddy(folder: Path, http_port: int, https_port: int) -> list[str]:
    """The sample with other ports and its own certificate, and the command that runs it."""
    certificate, key = make_certificate(folder)
    sample = (ROOT / "deploy/caddy/Caddyfile").read_text(encoding="utf-8")
    sample = _replace(
        sample,
        {
            "\n{\n\tservers {": f"\n{{\n\tadmin off\n\thttp_port {http_port}\n\thttps_port {https_port}\n\tservers {{",
            "{$DOORSTEP_HOST} {": f"{{$DOORSTEP_HOST}} {{\n\ttls {certificate} {key}",
        },
    )
    (folder / "Caddyfile").write_text(sample, encoding="utf-8")
    return ["caddy", "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]


@contextmanager
def running(name: str, folder: Path, upstreams: Upstreams) -> Iterator[Proxy]:
    """Run nginx or Caddy from its sample until the block ends."""
    kept = keep_port(), keep_port()
    http_port, https_port = map(number_of, kept)
    if name == "nginx":
        command = write_nginx(folder, upstreams, http_port, https_port)
    else:
        command = write_caddy(folder, http_port, https_port)
    env = {
        "PATH": PATH,
        "HOME": str(folder),
        "DOORSTEP_HOST": HOST,
        "DOORSTEP_FIXES": upstreams.fixes,
        "DOORSTEP_WEB": upstreams.web,
    }
    program = shutil.which(command[0], path=PATH)
    assert program, f"{command[0]} is not installed: make deploy-kit installs it"
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen([program, *command[1:]], env=env, stdout=output, stderr=output)
    try:
        wait_for_port(https_port, process)
        yield Proxy(name, http_port, https_port, folder)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)
        for each in kept:
            each.close()


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Return when a process listens there."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        assert process.poll() is None, f"{process.args!r} ended with code {process.returncode}"
        assert time.monotonic() < deadline, f"{process.args!r} does not listen"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def wait_until_answers(port: int, path: str, process: "subprocess.Popen[bytes]") -> None:
    """Return when the web process behind the proxy answers 200 there."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        assert process.poll() is None, f"{process.args!r} ended with code {process.returncode}"
        assert time.monotonic() < deadline, f"{process.args!r} does not answer"
        peer = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            peer.request("GET", path, headers={"Host": HOST})
            if peer.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            pass
        finally:
            peer.close()
        time.sleep(0.1)
