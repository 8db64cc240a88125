"""Restore a backup into a second cluster, compare it with the source, and serve it. The source is only read."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError, connections
from psycopg import IsolationLevel

from promotions import clock
from promotions.local import postgres
from promotions.local.errors import InterruptedBySignal, LocalError
from promotions.local.interrupts import SIGNALS
from promotions.local.lock import held
from promotions.local.processes import stop_recorded
from promotions.local.workspaces import ROOT, Workspace
from promotions.management.drill import product, tools
from promotions.management.drill.content import (
    Content,
    compare_contents,
    compare_sequences,
    describe_content,
    read_content,
    read_sequences,
    settle_session,
)
from promotions.management.drill.invariants import count_breaches, evaluate_breaches
from promotions.management.drill.lines import Database, Line, Result
from promotions.management.drill.probe import probe_copy
from promotions.management.drill.tools import Address

_SIZE_SQL = "SELECT pg_database_size(current_database()), current_setting('server_version_num')::int / 10000"


class Command(BaseCommand):
    """`manage.py restore_drill [--from-dump FILE] [--json]`"""

    help = (
        "Restore a backup of DATABASE_URL into a separate cluster, compare every table with the source, and serve "
        "the copy. The product may run; the source is only read. Exit code 1 when anything differs."
    )
    # The drill must work for faulty databases too.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from-dump", type=Path, metavar="FILE", help="your own dump (pg_dump --format=custom)")
        parser.add_argument("--folder", type=Path, help="folder of the second cluster (default: this clone)")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        # Runs inside the copy, for the drill itself.
        parser.add_argument("--probe", action="store_true", help="(internal)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the drill; print its lines."""
        if options["probe"]:
            self.stdout.write(json.dumps(probe_copy(clock.now()).document()))
            return
        try:
            with _stop_at_signals():
                result = _run(options["folder"] or ROOT, options["from_dump"])
        except InterruptedBySignal as interruption:
            self.stderr.write("Stopped. The second cluster and its folder are removed.")
            sys.exit(128 + interruption.signum)
        except psycopg.errors.InsufficientPrivilege as error:
            reason = str(error).splitlines()[0]
            raise CommandError(
                f"{reason}. Use the role that owns the tables, or give this one pg_read_all_data."
            ) from None
        except (psycopg.Error, DatabaseError, InterfaceError) as error:
            raise CommandError(f"PostgreSQL: {str(error).strip().splitlines()[0]}") from None
        except LocalError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{error.filename or options['folder']}: {error.strerror}.") from None
        self.stdout.write(json.dumps(result.document(), indent=2) if options["json"] else result.table())
        if not result.is_good:
            raise SystemExit(1)


def _run(root: Path, given: Path | None) -> Result:
    result, place = Result(), Workspace(root.resolve(), "restore-drill")
    if given is not None:
        tools.require_dump(given)
        if given.resolve().is_relative_to(place.folder):
            raise CommandError(f"--from-dump: {given} is in the drill's own folder, which it empties: move the file.")
    with ExitStack() as stack:
        source = stack.enter_context(_open_source())
        row = source.execute(_SIZE_SQL).fetchone()
        assert row is not None
        size_bytes, major = int(row[0]), int(row[1])
        installation = tools.choose_installation(major)
        stack.enter_context(_empty_place(place))
        for folder in _disks(place):
            room = tools.require_space(folder, size_bytes)
        result.lines.append(Line("disk space", True, room))
        before = read_sequences(source)
        content = breaches = None
        path = given or place.folder / "drill.dump"
        if given is None:
            with result.step("read the source"):
                content, breaches = read_content(source), count_breaches(source)
            with result.step("dump"):
                snapshot = source.execute("SELECT pg_export_snapshot()").fetchone()
                assert snapshot is not None
                tools.dump(installation, Address.of(source), str(snapshot[0]), path)
        after = _read_sequences_now()
        with result.step("start a second cluster"):
            cluster = postgres.start_cluster(place, durable=False)
            stack.callback(postgres.stop_cluster, cluster.child)
        copy = stack.enter_context(closing(psycopg.connect(cluster.url.replace("postgis:", "postgresql:"))))
        copy.autocommit = True
        settle_session(copy)
        with result.step("restore"):
            tools.restore(installation, Address.of(copy), path)
        with result.step("compare"):
            result.lines += _compare(source, copy, content, (before, after))
        with result.step("serve the copy"):
            result.lines += _serve(place, cluster.url, copy, breaches)
    return result


def _compare(
    source: Database,
    copy: Database,
    content: Content | None,
    sequences: tuple[dict[str, int], dict[str, int]],
) -> Iterator[Line]:
    found = read_content(copy)
    if content is None:
        yield from describe_content(found)
        return
    yield from compare_contents(content, found, (source, copy))
    yield compare_sequences(*sequences, read_sequences(copy))


def _serve(place: Workspace, url: str, copy: Database, breaches: dict[str, int] | None) -> Iterator[Line]:
    for name, reason in product.run_on_copy(url, "after_restore", "--json").items():
        yield Line(f"afterwards: {name}", True, reason)
    yield from evaluate_breaches(count_breaches(copy), breaches)
    probe = product.run_on_copy(url, "restore_drill", "--probe")
    probed, opened = probe["codes_probed"], probe["codes_opened"]
    yield Line("CODE_SECRET belongs to the coupons", probed == opened, f"{opened:,} of {probed:,} codes")
    yield from product.serve_and_test(place, url, probe)


@contextmanager
def _stop_at_signals() -> Iterator[None]:
    """End the block at the first signal, and ignore later ones while it stops its processes.

    Errors: InterruptedBySignal.
    """
    received: list[int] = []

    def interrupt(signum: int, _frame: FrameType | None) -> None:
        if not received:
            received.append(signum)
            # psycopg cancels a running query at this exception only.
            raise KeyboardInterrupt

    # A signal that is ignored stays so: `nohup`.
    before = {each: found for each in SIGNALS if (found := signal.getsignal(each)) is not signal.SIG_IGN}
    for each in before:
        signal.signal(each, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedBySignal(received[0] if received else signal.SIGINT) from None
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _open_source() -> Iterator[Database]:
    """Open a read-only connection to one snapshot of the source."""
    wrapper = connections["default"].copy()
    wrapper.ensure_connection()
    source: Database = wrapper.connection
    with closing(wrapper):
        source.autocommit = False
        source.isolation_level = IsolationLevel.REPEATABLE_READ
        source.read_only = True
        settle_session(source)
        yield source


def _read_sequences_now() -> dict[str, int]:
    """Read them outside the snapshot's transaction: they are not part of a snapshot, but a catalogue may be."""
    with _open_source() as source:
        return read_sequences(source)


@contextmanager
def _empty_place(place: Workspace) -> Iterator[None]:
    """Create a folder for the copy. Remove it with its contents at the end."""
    with held(place.lock, what=str(place.folder)):
        stop_recorded(place.command_pids)
        stop_recorded(place.server_pids)
        place.remove()
        place.create()
        try:
            yield
        finally:
            # A signal may come while one of them starts.
            stop_recorded(place.command_pids)
            stop_recorded(place.server_pids)
            place.remove()
            with suppress(OSError):
                place.outside.parent.rmdir()


def _disks(place: Workspace) -> Iterator[Path]:
    """Yield the folders whose disks the drill may fill: as root, PostgreSQL's user may not be able to enter ours."""
    yield place.folder
    if os.geteuid() == 0:
        yield next(folder for folder in place.outside.parents if folder.exists())
