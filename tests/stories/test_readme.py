"""The README's way from a phone to a coupon, its very commands, in the middle of a Sunday's night."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from promotions.local.workspaces import OWN_SERVICES_VARIABLE
from tests.patience import PATIENCE_S, wait_for
from tests.ports import keep_port, number_of
from tests.stories.conftest import _server_url

NIGHT = datetime.fromisoformat("2026-11-29T03:00:00+01:00")
SERVE = """
import sys
from pathlib import Path
from promotions.local import serve
serve.ROOT = Path(sys.argv[1])
sys.exit(serve.serve(serve.ServeOptions("127.0.0.1", sys.argv[2])))
"""
DATE = """#!/bin/sh
exec "$REAL_DATE" --date="@$(($("$REAL_DATE" +%s) + OFFSET))" "$@"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that `make run` and the README's commands accept as a clone."""
    (tmp_path / "manage.py").symlink_to(settings.BASE_DIR / "manage.py")
    (tmp_path / "bin").mkdir()
    date = tmp_path / "bin" / "date"
    date.write_text(DATE, encoding="utf-8")
    date.chmod(0o755)
    return tmp_path


@pytest.fixture
def environment(clone: Path) -> Iterator[dict[str, str]]:
    """Its own database and part of Redis, with every clock set to the night."""
    name = f"doorstep_readme_{os.getpid()}"
    real_s = time.time()
    with psycopg.connect(_server_url("postgres"), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield {
                **os.environ,
                "DEBUG": "1",
                "SECRET_KEY": "a secret of this clone, as the local commands make one",
                "DATABASE_URL": _server_url(name).replace("postgresql:", "postgis:"),
                "REDIS_URL": settings.REDIS_URL,
                "REDIS_PREFIX": name,
                "DOORSTEP_FOLDER": str(clone / "var" / "run"),
                OWN_SERVICES_VARIABLE: "",
                "PYTHONPATH": str(settings.BASE_DIR),
                "CLOCK_WARP": f"{real_s},{NIGHT.timestamp()},1",
                "OFFSET": str(int(NIGHT.timestamp() - real_s)),
                "REAL_DATE": "/bin/date",
                "PATH": f"{clone / 'bin'}{os.pathsep}{os.environ['PATH']}",
            }
        finally:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def run(clone: Path, environment: dict[str, str]) -> Iterator[Path]:
    """`make run` once it is ready, and the file with its standard error."""
    output = clone / "stderr"
    with output.open("wb") as errors:
        kept = keep_port()
        argv = [sys.executable, "-c", SERVE, str(clone), str(number_of(kept))]
        process = subprocess.Popen(argv, env=environment, stderr=errors)
        try:
            wait_for(lambda: (clone / "var" / "run.json").exists() or process.poll() is not None, 3 * PATIENCE_S)
            assert process.poll() is None, output.read_text(encoding="utf-8")
            yield output
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=PATIENCE_S) == 0
            kept.close()
    assert not (clone / "var" / "run.json").exists()


def read_commands() -> str:
    """Every shell block of the section, in order."""
    text = (settings.BASE_DIR / "README.md").read_text(encoding="utf-8")
    section = text.split("## From a phone to a coupon")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


def test_the_readmes_commands_lead_to_a_coupon_at_night(clone: Path, run: Path, environment: dict[str, str]) -> None:
    announced = clone / "var" / "run.json"
    mode = announced.stat().st_mode & 0o777
    base_url = json.loads(announced.read_text(encoding="utf-8"))["base_url"]

    done = subprocess.run(
        ["bash", "-euc", read_commands()],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (mode, base_url[:17]) == (0o600, "http://127.0.0.1:")
    assert run.read_text(encoding="utf-8").count("Warning") == 0
    assert '{"accepted":1,"rejected":[]}' in done.stdout
    assert re.search(r"^✉ [0-9a-f-]{36} Welcome: .* at Tartine & Co République", done.stdout, re.MULTILINE)
    assert '"code":"not_at_store"' in done.stdout
    assert '"redeemed_at":"2026-11-29T02:0' in done.stdout
    assert '"code":"already_redeemed"' in done.stdout
