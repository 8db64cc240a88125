"""`make run`: the demo brand, live, until Ctrl-C. Runs inside the services, with the virtualenv's Python."""

import os
import subprocess
import sys

from promotions.local import ports
from promotions.local.console import say
from promotions.local.errors import InterruptedBySignal, LocalError
from promotions.local.interrupts import Interrupts
from promotions.local.places import ROOT
from promotions.local.stack import Stack


def serve(*, host: str, port_text: str) -> int:
    """Migrate, seed, start the stack, announce it, and wait. Being asked to end is the normal end: exit code 0."""
    wanted = _port(port_text)
    with Interrupts() as interrupts:
        try:
            _withdraw_announcement()
            for command in (("migrate", "--verbosity", "0"), ("seed_demo",)):
                _manage(*command, interrupts=interrupts)
            port = ports.next_free_port(wanted, host=host)
            if port != wanted:
                say(f"Port {wanted} is taken; using {port}.")
            stack = Stack(env=os.environ, host=host, port=port)
            try:
                stack.start(while_waiting=interrupts.check)
                _manage("announce_run", "--base-url", stack.base_url, interrupts=interrupts)
                stack.wait(while_waiting=interrupts.check)
            finally:
                _withdraw_announcement()
                stack.stop()
        except InterruptedBySignal:
            say("Stopped.")
    return 0


def _withdraw_announcement() -> None:
    """A program that waits for `var/run.json` must not read the address and token of a run that has ended."""
    (ROOT / "var" / "run.json").unlink(missing_ok=True)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise LocalError(f"PORT must be a number from 1 to 65535, not {text!r}.")
    return int(text)


def _manage(*arguments: str, interrupts: Interrupts) -> None:
    done = subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, check=False)
    interrupts.check()
    if done.returncode != 0:
        raise LocalError(f"manage.py {arguments[0]} failed with exit code {done.returncode}.")
