"""The restore drill on real databases: what it must accept, and what it must find."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from psycopg import sql

from promotions.local.processes import started_at
from promotions.local.workspaces import ROOT
from promotions.management.drill import product, tools
from promotions.management.drill.content import (
    compare_contents,
    compare_sequences,
    read_content,
    read_sequences,
    settle_session,
)
from promotions.management.drill.invariants import count_breaches, evaluate_breaches, list_invariants
from promotions.management.drill.lines import Line
from tests.patience import PATIENCE_S, wait_for
from tests.promotions.drill.conftest import TAKEN, UNLOCKED, Run, Source

Drill = Callable[..., Run]


def test_a_backup_taken_while_the_product_works_restores_whole(source: Source, drill: Drill) -> None:
    stop = Event()

    def work() -> None:
        with closing(source.connect()) as database:
            while not stop.wait(0.01):
                database.execute(
                    "INSERT INTO geofence_partner (uuid, name)"
                    " SELECT id, id FROM (SELECT gen_random_uuid() AS id) AS one"
                )

    worker = Thread(target=work)
    worker.start()
    try:
        run = drill("--json")
    finally:
        stop.set()
        worker.join()

    assert (run.code, run.err) == (0, "")
    assert run.document["is_good"]
    assert run.line("table promotions_redemption")["detail"] == f"{TAKEN} rows"
    assert run.line("CODE_SECRET belongs to the coupons")["detail"] == f"{UNLOCKED} of {UNLOCKED} codes"
    assert run.line("a till takes a coupon in the copy")["detail"] == "taken"
    assert "postgresql ok" in run.line("the product starts on the copy")["detail"]
    # The copy's till took one; the source knows nothing of it.
    with closing(source.connect()) as database:
        assert database.execute("SELECT count(*) FROM promotions_redemption").fetchone() == (TAKEN,)


def test_a_backup_of_the_operators_own_restores_and_serves(dump_file: Path, drill: Drill) -> None:
    run = drill("--from-dump", str(dump_file))

    assert run.code == 0, run.out + run.err
    assert "this backup restores" in run.out
    assert "✓ a till takes a coupon in the copy" in run.out


def test_a_dump_that_was_cut_in_half_is_refused(dump_file: Path, drill: Drill, tmp_path: Path) -> None:
    half = tmp_path / "half.dump"
    half.write_bytes(dump_file.read_bytes()[: dump_file.stat().st_size // 2])

    run = drill("--from-dump", str(half))

    assert run.code == 1
    assert "The backup does not restore: half.dump: " in run.err
    assert "end of file" in run.err


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("gone.dump", None, "cannot be read: No such file or directory"),
        ("plain.sql", b"--\n-- PostgreSQL database dump\n--\n", "make it with pg_dump --format=custom"),
        ("empty.dump", b"", "make it with pg_dump --format=custom"),
    ],
)
def test_a_file_that_is_no_dump_gets_a_sentence(
    name: str, content: bytes | None, sentence: str, drill: Drill, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    run = drill("--from-dump", str(tmp_path / name))

    assert (run.code, run.out) == (1, "")
    assert sentence in run.err


def test_a_role_that_may_not_read_gets_a_sentence(source: Source, drill: Drill) -> None:
    role, password = f"reader_{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    with closing(source.connect()) as database:
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        database.execute(create.format(sql.Identifier(role), sql.Literal(password)))
        try:
            _, _, where = source.url.rpartition("@")
            run = drill(DATABASE_URL=f"postgis://{role}:{password}@{where}")
        finally:
            database.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    assert run.code == 1
    assert "permission denied for" in run.err
    assert "pg_read_all_data" in run.err
    assert password not in run.err + run.out


def test_a_source_that_is_away_gets_a_sentence(source: Source, drill: Drill) -> None:
    run = drill(DATABASE_URL="postgis://doorstep:geheim@127.0.0.1:1/doorstep")

    assert run.code == 1
    assert run.err.startswith("CommandError: PostgreSQL: ")
    assert "geheim" not in run.err


def test_a_server_newer_than_the_programs_here_is_refused() -> None:
    with pytest.raises(CommandError, match=r"pg_dump reads no newer server than itself\. Install postgresql-99 "):
        tools.choose_installation(99)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="make room, or name a folder on a larger disk with --folder"):
        tools.require_space(tmp_path, 10**18)


def test_a_drill_that_is_asked_to_end_leaves_nothing_behind(source: Source, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "restore_drill", "--folder", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "DEBUG": "1", "DATABASE_URL": source.url},
        stderr=subprocess.PIPE,
        text=True,
    )
    records = tmp_path / "var/restore-drill/pids/servers"
    found = wait_for(lambda: list(records.glob("postgres-*.pid")))
    cluster = int(found[0].stem.rpartition("-")[2])

    process.terminate()
    _, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 128 + signal.SIGTERM
    assert err.endswith("Stopped. The second cluster and its folder are removed.\n")
    assert started_at(cluster) is None
    assert not (tmp_path / "var/restore-drill").exists()


def test_a_dump_in_the_folder_that_the_drill_empties_is_refused(dump_file: Path, tmp_path: Path) -> None:
    mine = tmp_path / "var/restore-drill/mine.dump"
    mine.parent.mkdir(parents=True)
    shutil.copy(dump_file, mine)

    with pytest.raises(CommandError, match="move the file"):
        call_command("restore_drill", "--folder", str(tmp_path), "--from-dump", str(mine))

    assert mine.read_bytes() == dump_file.read_bytes()


def test_the_copy_is_led_to_nothing_of_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        *("DATABASE_URL", "REDIS_URL", "STREAM_URL", "SENTRY_DSN", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        *("OTEL_EXPORTER_OTLP_HEADERS", "PROMETHEUS_MULTIPROC_DIR", "NOTIFY_SOCKET"),
    ]
    for name in names:
        monkeypatch.setenv(name, "the deployment's")
        monkeypatch.setenv(f"{name}_FILE", "the deployment's")

    turned = product.copy_environment("postgis://copy")

    assert [name for name, value in turned.items() if value == "the deployment's"] == []
    assert (turned["DATABASE_URL"], turned["REDIS_URL"]) == ("postgis://copy", product.NOWHERE)


def test_another_code_secret_is_found(source: Source) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "restore_drill", "--probe"],
        cwd=ROOT,
        env={**os.environ, "DEBUG": "1", "DATABASE_URL": source.url, "CODE_SECRET": "another one " * 4},
        capture_output=True,
        text=True,
        check=True,
    )

    assert f'"codes_probed": {UNLOCKED}, "codes_opened": 0' in done.stdout


DAMAGES = {
    "a row is missing": (
        "DELETE FROM promotions_void; DELETE FROM promotions_redemption",
        "table promotions_redemption",
    ),
    "a value changed": ("UPDATE promotions_coupon SET benefit = 'a car'", "table promotions_coupon"),
    "a row too many": (
        "INSERT INTO geofence_partner (uuid, name) VALUES (gen_random_uuid(), 'X')",
        "table geofence_partner",
    ),
    "a table is missing": ("DROP TABLE promotions_void", "table promotions_void"),
    "an index is missing": ("DROP INDEX promotions_refusal_campaign", "indexes"),
    "a guard is missing": ("ALTER TABLE promotions_budget DROP CONSTRAINT promotions_budget_within_cap", "constraints"),
    "a trigger is missing": ("DROP TRIGGER {trigger} ON promotions_consent", "triggers"),
    "a column is another": ("ALTER TABLE promotions_coupon ALTER benefit TYPE text", "columns"),
    "a migration is missing": ("DELETE FROM django_migrations WHERE name = '0011_limit_coupons'", "migrations applied"),
    "an extension is missing": ("DROP EXTENSION postgis CASCADE", "extensions"),
}


def differences(source: Source, copy: Source) -> dict[str, Line]:
    with closing(source.connect()) as ours, closing(copy.connect()) as theirs:
        for database in (ours, theirs):
            settle_session(database)
        lines = list(compare_contents(read_content(ours), read_content(theirs), (ours, theirs)))
    return {line.what: line for line in lines if not line.is_good}


def test_two_that_are_alike_do_not_differ(source: Source, copy: Source) -> None:
    assert differences(source, copy) == {}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_is_found_by_name(damage: str, source: Source, copy: Source) -> None:
    statement, where = DAMAGES[damage]
    with closing(copy.connect()) as database:
        if "{trigger}" in statement:
            found = database.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = 'promotions_consent'::regclass AND NOT tgisinternal"
            ).fetchone()
            assert found is not None
            statement = statement.format(trigger=found[0])
        database.execute(statement.encode())

    found_lines = differences(source, copy)

    assert where in found_lines


def test_the_rows_that_differ_are_named_by_key_and_without_content(source: Source, copy: Source) -> None:
    with closing(copy.connect()) as database:
        changed = database.execute(
            "UPDATE promotions_coupon SET benefit = 'a car'"
            " WHERE id = (SELECT max(id::text)::uuid FROM promotions_coupon) RETURNING id"
        ).fetchone()
    assert changed is not None

    detail = differences(source, copy)["table promotions_coupon"].detail

    assert f"1 changed ({changed[0]})" in detail
    assert "a car" not in detail


def test_a_sequence_that_was_left_behind_is_found(source: Source) -> None:
    with closing(source.connect()) as database:
        before = read_sequences(database)
    behind = {**before, "geofence_store_id_seq": 0}

    assert compare_sequences(before, before, before).is_good
    assert not compare_sequences(before, before, behind).is_good
    assert "geofence_store_id_seq" in compare_sequences(before, before, behind).detail


BREACHES = {
    "no unit of a coupon is taken twice": (
        "DROP INDEX promotions_redemption_one_live; UPDATE promotions_redemption SET coupon_id ="
        " (SELECT coupon_id FROM promotions_redemption LIMIT 1)"
    ),
    "no coupon is taken more often than it is good for": "UPDATE promotions_redemption SET unit = 7",
    "a redemption is live or was voided": "UPDATE promotions_redemption SET is_live = false",
    "unlocks counted against a cap cover those given": "UPDATE promotions_budget SET used = 0",
    "uses counted against a cap cover those taken": "UPDATE promotions_budget SET used = 0",
    "no cap is exceeded": (
        "ALTER TABLE promotions_budget DROP CONSTRAINT promotions_budget_within_cap;"
        " UPDATE promotions_budget SET used = cap + 1"
    ),
    "every prize that was won has its moment": (
        "UPDATE promotions_campaign SET kind = 'instant_win'; UPDATE promotions_unlock SET outcome = 'won'"
    ),
    "every unlocked coupon is there": "DELETE FROM promotions_redemption; DELETE FROM promotions_coupon",
    "the holder of an unlocked coupon is the device that unlocked it": (
        "UPDATE promotions_coupon SET device_id = (SELECT id FROM promotions_device d WHERE d.id <> device_id LIMIT 1)"
    ),
    "every stream has a cursor that can be read": (
        "INSERT INTO promotions_shardcursor (shard, last_entry_id, stream_mark) VALUES (99, 'x', '')"
    ),
}


def test_every_invariant_has_its_breach() -> None:
    assert set(BREACHES) == set(list_invariants())


@pytest.mark.parametrize("what", BREACHES)
def test_an_invariant_that_is_broken_is_named(what: str, copy: Source) -> None:
    with closing(copy.connect()) as database:
        assert set(count_breaches(database).values()) == {0}
        database.execute(BREACHES[what].encode())

        lines = {line.what: line for line in evaluate_breaches(count_breaches(database), None)}

    assert not lines[what].is_good


def test_what_the_source_breaks_too_is_shown_and_is_no_fault_of_the_backup() -> None:
    (line,) = evaluate_breaches({"a rule": 3}, {"a rule": 3})

    assert line == Line("a rule", True, "3 exceptions, in the source 3")
