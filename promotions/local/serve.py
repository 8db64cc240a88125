"""`make run`: the demo brand, live, until Ctrl-C. Runs inside the services, with the virtualenv's Python."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from promotions.local import ports
from promotions.local.console import echo, sign_of_life
from promotions.local.errors import InterruptedBySignal, LocalError
from promotions.local.interrupts import Interrupts
from promotions.local.stack import Stack
from promotions.local.workspaces import ROOT

OPEN_TO_THE_NETWORK = """\
Warning: HOST={host} makes this demo reachable for every device on your network. It runs in DEBUG mode:
  errors show its inside, and each login printed above opens admin. Use it in a network
  you trust, without real data, and end it with Ctrl-C."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The address to serve at, and the data: the run's own, the newest demo day's (`fresh`), or a file's."""

    host: str
    port_text: str
    fresh: bool = False
    data: Path | None = None


def serve(options: ServeOptions) -> int:
    """Migrate, seed, start the stack, announce it, and wait. Being asked to end is the normal end: exit code 0."""
    preferred_port = _port(options.port_text)
    with Interrupts() as interrupts:
        try:
            _withdraw_announcement()
            for what, command in (
                ("choosing the data", _choose_data(options)),
                ("preparing the database", ("migrate", "--verbosity", "0")),
                ("planting the demo brand", ("seed_demo",)),
            ):
                with sign_of_life(what):
                    _manage(*command, interrupts=interrupts)
            port = ports.next_free_port(preferred_port, host=options.host)
            if port != preferred_port:
                echo(f"Port {preferred_port} is taken; using {port}.")
            stack = Stack(env=run_environment(os.environ, host=options.host), host=options.host, port=port)
            try:
                with sign_of_life("starting web, worker and beat"):
                    stack.start(while_waiting=interrupts.check)
                announcement = ("--base-url", stack.base_url, "--output", str(_announcement()))
                _manage("announce_run", *announcement, interrupts=interrupts)
                if warning := describe_exposure(options.host):
                    echo(warning)
                stack.wait(while_waiting=interrupts.check)
            finally:
                _withdraw_announcement()
                stack.stop()
        except InterruptedBySignal:
            echo("Stopped.")
    return 0


def describe_exposure(host: str) -> str | None:
    """Return the warning about access by others; None where they have none."""
    return None if ports.is_loopback(host) else OPEN_TO_THE_NETWORK.format(host=host)


def run_environment(environment: Mapping[str, str], *, host: str = "127.0.0.1") -> dict[str, str]:
    """The environment of the demo's processes: messages go at any hour, and the host is answered under any name.

    Values that the caller set stay as they are.
    """
    defaults = {"QUIET_HOURS": ""}
    if not ports.is_loopback(host):
        # Only the network knows its names for this machine.
        defaults["ALLOWED_HOSTS"] = "*"
    return {**defaults, **environment}


def _choose_data(options: ServeOptions) -> tuple[str, ...]:
    fresh = ("--fresh",) if options.fresh else ()
    return ("choose_data", *fresh, *(("--data", str(options.data)) if options.data else ()))


def _withdraw_announcement() -> None:
    """A program that waits for `var/run.json` must not read the address and token of a run that has ended."""
    _announcement().unlink(missing_ok=True)


def _announcement() -> Path:
    return ROOT / "var" / "run.json"


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise LocalError(f"PORT must be a number from 1 to 65535, not {text!r}.")
    return int(text)


def _manage(*arguments: str, interrupts: Interrupts) -> None:
    done = subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, check=False)
    interrupts.check()
    if done.returncode != 0:
        raise LocalError(f"manage.py {arguments[0]} failed with exit code {done.returncode}.")
