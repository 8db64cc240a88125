"""`python -m promotions.local at`: every process of a command has the same other date."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen

import pytest

from promotions.local import shift
from promotions.local.errors import LocalError
from promotions.local.shift import OFFSET_VARIABLE, find_shift, read_instant
from tests.patience import PATIENCE_S

StartLocal = Callable[..., "Popen[str]"]

# What a Python process, one that it starts, PostgreSQL and Redis take for now. First, all kinds of waits end.
ASK = """
import json, multiprocessing, os, subprocess, threading, time
import psycopg, redis
time.sleep(0.05)
threading.Event().wait(0.05)
multiprocessing.Event().wait(0.05)
url = os.environ["DATABASE_URL"].replace("postgis://", "postgresql://")
with psycopg.connect(url) as connection:
    # A session's timeout ends also a statement that waits.
    connection.execute("SET statement_timeout = 200")
    try:
        connection.execute("SELECT pg_sleep(60)")
    except psycopg.errors.QueryCanceled:
        connection.rollback()
    (postgres,) = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float").fetchone()
child = float(subprocess.run(["date", "+%s"], capture_output=True, text=True).stdout)
print(json.dumps([time.time(), child, postgres, float(redis.Redis.from_url(os.environ["REDIS_URL"]).time()[0])]))
"""


@pytest.fixture
def unshifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own clock for what a test starts, also when the suite itself runs at another date."""
    for name in (*find_shift(os.environ), OFFSET_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2028-02-29T23:50", datetime(2028, 2, 29, 22, 50, tzinfo=UTC)),
        ("2026-12-31 23:59:30", datetime(2026, 12, 31, 22, 59, 30, tzinfo=UTC)),
        ("2027-03-28T01:59", datetime(2027, 3, 28, 0, 59, tzinfo=UTC)),
        # The hour that occurs twice: the first of the two, unless the offset selects the second.
        ("2027-10-31T02:30", datetime(2027, 10, 31, 0, 30, tzinfo=UTC)),
        ("2027-10-31T02:30+01:00", datetime(2027, 10, 31, 1, 30, tzinfo=UTC)),
    ],
)
def test_an_instant_is_the_time_in_paris_or_has_an_offset(text: str, instant: datetime) -> None:
    assert read_instant(text) == instant


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("29 February", "AT must be a date and time such as 2028-02-29T23:50, not '29 February'"),
        ("2027-02-29T12:00", "AT must be a date and time"),
        ("2027-03-28T02:30", "No clock in Europe/Paris shows 2027-03-28T02:30"),
    ],
)
def test_what_is_no_instant_is_refused_with_a_sentence(text: str, output: str) -> None:
    with pytest.raises(LocalError, match=output):
        read_instant(text)


def test_without_a_compiler_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "find_compiler", lambda: None)

    with (
        pytest.raises(LocalError, match="apt-get install gcc libc6-dev"),
        shift.shifted_environment(datetime(2028, 2, 29, tzinfo=UTC), {}),
    ):
        pass


def test_a_clock_that_is_not_shifted_adds_nothing_to_an_environment() -> None:
    assert find_shift({"LD_PRELOAD": "libjemalloc.so.2", "PATH": "/bin"}) == {}


@pytest.mark.usefixtures("unshifted")
def test_all_processes_of_a_command_are_at_the_same_other_date(start_local: StartLocal) -> None:
    process = start_local(
        *("at", "2028-02-29T23:50", "--", sys.executable, "-m", "promotions.local"),
        *("services", "--name", "one", "--", sys.executable, "-W", "ignore", "-c", ASK),
    )

    output, errors = process.communicate(timeout=2 * PATIENCE_S)

    assert process.returncode == 0, errors
    begun_s = datetime(2028, 2, 29, 22, 50, tzinfo=UTC).timestamp()
    shown_s = json.loads(output)
    # The machine's own date is far from this one.
    assert all(-1 <= one_s - begun_s < 3 * PATIENCE_S for one_s in shown_s), shown_s


@pytest.mark.usefixtures("unshifted")
def test_the_exit_code_is_the_commands(start_local: StartLocal) -> None:
    process = start_local("at", "2028-02-29T23:50", "--", "sh", "-c", "exit 7")

    process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 7


def test_files_keep_their_real_times(tmp_path: Path) -> None:
    """Else what cleans up by age would remove what another program uses."""
    file = tmp_path / "file"
    file.touch()
    at = datetime.now(tz=UTC) + timedelta(days=400)

    with shift.shifted_environment(at, os.environ) as environment:
        code = f"import os; print(os.stat({str(file)!r}).st_mtime)"
        reported = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )

    assert float(reported.stdout) == pytest.approx(file.stat().st_mtime)
