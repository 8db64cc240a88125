"""The commands behind the Makefile: `setup`, `at INSTANT -- COMMAND…`, `services --name NAME -- COMMAND…`, `serve`."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from promotions.local import decoder, foreground, packages, serve, shift, virtualenv
from promotions.local.console import echo
from promotions.local.errors import InterruptedBySignal, LocalError
from promotions.local.interrupts import Interrupts
from promotions.local.lock import held
from promotions.local.services import default_environment, private_services
from promotions.local.workspaces import ROOT, Workspace


def main(arguments: Sequence[str]) -> int:
    """Run one command; print errors that the reader can act on as a sentence, without a traceback."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except InterruptedBySignal as interruption:
        return 128 + interruption.signum
    except KeyboardInterrupt:
        return 130
    except PermissionError as error:
        echo(f"Doorstep: cannot write {error.filename} ({error.strerror}). Run as its owner, or remove it.")
        return 1
    except LocalError as error:
        echo(f"Doorstep: {error}")
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m promotions.local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    setup = commands.add_parser("setup", help="install what is missing and prepare .venv")
    setup.add_argument("--with-tests", action="store_true", help="also the packages of the tests and checks")
    setup.add_argument("--with-chromium", action="store_true", help="also a browser, for tests and screenshots")
    setup.add_argument("--with-npm", action="store_true", help="also npm, so that the till's QR decoder is there")
    setup.add_argument("--with-wrk", action="store_true", help="also a load generator, for benchmarks")
    setup.add_argument("--with-uv", action="store_true", help="also uv, which compiles the lists of requirements")
    setup.add_argument("--next", action="store_true", help="for the next Django: .venv-next in place of .venv")
    setup.add_argument("--with-proxies", action="store_true", help="also nginx, Caddy and systemd, to try deploy/")
    setup.add_argument("--with-compiler", action="store_true", help="also a C compiler, to run commands at other dates")
    setup.set_defaults(run=_setup)
    at = commands.add_parser("at", help="run a command at another date")
    at.add_argument("instant", help="such as 2028-02-29T23:50 (in Paris) or 2027-10-31T02:30+01:00")
    # The rest unchanged: it may contain another `--`.
    at.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    at.set_defaults(run=_at)
    services = commands.add_parser("services", help="run a command with a private PostgreSQL and Redis")
    services.add_argument("--name", required=True, help="the folder under var/")
    services.add_argument("--keep", action="store_true", help="keep the data of the last time")
    services.add_argument("--disposable", action="store_true", help="faster; a power cut may lose the database")
    services.add_argument("command", nargs="+", metavar="-- COMMAND")
    services.set_defaults(run=_services)
    serving = commands.add_parser("serve", help="migrate, seed the demo brand and serve until Ctrl-C")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", default="8000")
    serving.add_argument("--fresh", action="store_true", help="serve the newest demo day; set the present data aside")
    serving.add_argument("--data", type=Path, help="serve the data that an earlier --fresh set aside in this file")
    serving.set_defaults(run=_serve)
    return parser


def _setup(options: argparse.Namespace) -> int:
    with held(ROOT / "var" / "set-up.lock", what="the set-up", wait=True):
        packages.install_missing(
            with_chromium=options.with_chromium,
            with_wrk=options.with_wrk,
            with_compiler=options.with_compiler,
            with_npm=options.with_npm,
            with_proxies=options.with_proxies,
            environment=os.environ,
        )
        _prepare_virtualenv(options)
        decoder.prepare(ROOT, is_needed=options.with_npm)
        if options.with_chromium:
            name = virtualenv.NAME_FOR_NEXT_DJANGO if options.next else virtualenv.DEFAULT_NAME
            packages.install_own_browser(virtualenv.python_of(ROOT, name))
    return 0


def _prepare_virtualenv(options: argparse.Namespace) -> None:
    if options.next:
        virtualenv.prepare_for_next_django(ROOT)
    else:
        lists = virtualenv.FOR_TESTS if options.with_tests else virtualenv.FOR_DEMO
        virtualenv.prepare(ROOT, lists=(*lists, "lock") if options.with_uv else lists)


def _at(options: argparse.Namespace) -> int:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise LocalError("Say after -- which command to run.")
    with (
        Interrupts() as interrupts,
        shift.shifted_environment(shift.read_instant(options.instant), os.environ) as environment,
    ):
        return foreground.run(command, env=environment, cwd=ROOT, interrupts=interrupts)


def _services(options: argparse.Namespace) -> int:
    place = Workspace(ROOT, options.name)
    with ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        environment = stack.enter_context(
            private_services(
                place,
                keep=options.keep,
                durable=not options.disposable,
                environment=default_environment(ROOT),
                interrupts=interrupts,
            )
        )
        return foreground.run(options.command, env=environment, cwd=ROOT, interrupts=interrupts)


def _serve(options: argparse.Namespace) -> int:
    return serve.serve(serve.ServeOptions(options.host, options.port, fresh=options.fresh, data=options.data))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
