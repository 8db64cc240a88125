"""What a migration must not do, each by a sample that does it, and the way that is allowed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from promotions.version import VERSION
from tests.upgrades.rules import Fault, Release, find_project_faults

Checker = Callable[..., list[Fault]]
CHECK = models.CheckConstraint(condition=models.Q(level__lte=4), name="promotions_redemption_level")
INDEX = models.Index(fields=["redeemed_at"], name="promotions_redemption_time")
UNIQUE = models.UniqueConstraint(fields=["nonce"], name="promotions_redemption_nonce_once")
DROP = "ALTER TABLE promotions_redemption DROP COLUMN old_note"
RESTORE = "ALTER TABLE promotions_redemption ADD COLUMN old_note varchar(80) NOT NULL DEFAULT ''"


def leave(apps: Any, editor: Any) -> None:
    """Change nothing."""


def test_no_migration_of_the_project_stops_the_release_before(
    loader: MigrationLoader, release: Release, bare_connection: BaseDatabaseWrapper
) -> None:
    faults = find_project_faults(loader, release, bare_connection)

    assert not faults, "\n".join(map(str, faults))


def test_the_upgrade_that_is_tried_under_load_keeps_the_rules(
    settings: Any, bare_connection: BaseDatabaseWrapper, release: Release
) -> None:
    settings.MIGRATION_MODULES = {"promotions": "tests.faults.next_release.migrations"}
    loader = MigrationLoader(None)
    # The test above checks the others.
    checked = {f"{app}.{name}" for app, name in loader.disk_migrations if not name.startswith("9")}
    before = replace(release, names=release.names | checked)

    assert len(loader.disk_migrations) == len(checked) + 4
    assert find_project_faults(loader, before, bare_connection) == []


def test_the_list_of_released_migrations_names_only_what_is_there(loader: MigrationLoader, release: Release) -> None:
    assert release.names <= {f"{app}.{name}" for app, name in loader.disk_migrations}
    assert [int(part) for part in release.version.split(".")] <= [int(part) for part in VERSION.split(".")]


BLOCKING = {
    "no-database-default": migrations.AddField("redemption", "note", models.CharField(max_length=80, default="")),
    "set-not-null": migrations.AlterField("redemption", "amount", models.DecimalField(max_digits=10, decimal_places=2)),
    "dropped-while-read": migrations.RemoveField("redemption", "source"),
    "renaming-column": migrations.RenameField("redemption", "amount", "paid"),
    "renaming-table": migrations.RenameModel("Redemption", "Taking"),
    "changing-column-type": migrations.AlterField("redemption", "unit", models.BigIntegerField(default=1)),
    "require-concurrent-index-creation": migrations.AddIndex("redemption", INDEX),
    "require-concurrent-index-deletion": migrations.RemoveIndex("redemption", "promotions_redemption_recent"),
    "constraint-missing-not-valid": migrations.AddConstraint("redemption", CHECK),
    "disallowed-unique-constraint": migrations.AddConstraint("redemption", UNIQUE),
    "adding-foreign-key-constraint": migrations.AddField(
        "redemption", "campaign", models.ForeignKey("promotions.Campaign", models.CASCADE, null=True)
    ),
    "concurrently-in-transaction": AddIndexConcurrently("redemption", INDEX),
    "irreversible": migrations.RunPython(leave),
}


@pytest.mark.parametrize("rule", BLOCKING)
def test_a_migration_that_blocks_is_refused_by_name_with_the_remedy(rule: str, check_migration: Checker) -> None:
    faults = [fault for fault in check_migration(BLOCKING[rule]) if fault.rule == rule]

    assert [fault.migration for fault in faults] == ["promotions.9999_sample"]
    assert faults[0].found
    assert faults[0].remedy


def test_a_model_that_is_read_is_not_deleted(check_migration: Checker) -> None:
    assert "dropped-while-read" in {fault.rule for fault in check_migration(migrations.DeleteModel("Void"))}


def test_data_and_schema_do_not_go_together(check_migration: Checker) -> None:
    field = migrations.AddField("redemption", "note", models.CharField(max_length=80, db_default=""))
    copy = migrations.RunSQL("UPDATE promotions_redemption SET level = 0", migrations.RunSQL.noop)

    assert [fault.rule for fault in check_migration(field, migrations.RunPython(leave, leave))] == ["data-with-schema"]
    assert [fault.rule for fault in check_migration(field, copy)] == ["data-with-schema"]
    assert check_migration(copy) == []


def test_steps_without_a_transaction_come_alone(check_migration: Checker) -> None:
    other = models.Index(fields=["scanned_at"], name="promotions_redemption_scan")

    faults = check_migration(
        AddIndexConcurrently("redemption", INDEX), AddIndexConcurrently("redemption", other), atomic=False
    )

    assert [fault.rule for fault in faults] == ["several-steps-without-transaction"]


def test_a_constraint_is_validated_in_a_later_migration(check_migration: Checker) -> None:
    faults = check_migration(AddConstraintNotValid("redemption", CHECK), ValidateConstraint("redemption", CHECK.name))

    assert [fault.rule for fault in faults] == ["constraint-missing-not-valid"]


def test_a_column_that_leaves_the_models_must_be_fillable(check_migration: Checker) -> None:
    def leave_models(name: str) -> Any:
        return migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("redemption", name)])

    assert [fault.rule for fault in check_migration(leave_models("source"))] == ["removed-but-required"]
    assert check_migration(leave_models("amount")) == []


def test_what_no_release_reads_is_dropped_by_a_migration_named_for_it(
    check_migration: Checker, release: Release
) -> None:
    drop = migrations.RunSQL(DROP, RESTORE)

    assert [fault.rule for fault in check_migration(drop)] == ["drop-without-release"]
    assert release.suffix in check_migration(drop)[0].remedy
    assert check_migration(drop, name=f"9999_drop_old_note{release.suffix}") == []


EXPANDING = {
    "column with a default": migrations.AddField("redemption", "note", models.CharField(max_length=80, db_default="")),
    "column that may be empty": migrations.AddField("redemption", "note", models.CharField(max_length=80, null=True)),
    "constraint not validated": AddConstraintNotValid("redemption", CHECK),
    "data with a way back": migrations.RunPython(leave, leave),
    "table": migrations.CreateModel(
        "Note",
        [
            ("id", models.BigAutoField(primary_key=True)),
            ("text", models.CharField(max_length=80)),
            ("redemption", models.ForeignKey("promotions.Redemption", models.CASCADE)),
        ],
        options={"indexes": [models.Index(fields=["text"], name="promotions_note_text")]},
    ),
}


@pytest.mark.parametrize("what", EXPANDING)
def test_a_migration_that_expands_passes(what: str, check_migration: Checker) -> None:
    assert check_migration(EXPANDING[what]) == []


def test_an_index_made_concurrently_passes(check_migration: Checker) -> None:
    assert check_migration(AddIndexConcurrently("redemption", INDEX), atomic=False) == []


def test_an_exception_needs_its_reason_and_its_occasion(check_migration: Checker) -> None:
    longer = migrations.AlterField("refusal", "reason", models.CharField(max_length=80))
    reason = "A longer varchar changes PostgreSQL's catalogue only."

    assert [fault.rule for fault in check_migration(longer)] == ["changing-column-type"]
    assert check_migration(longer, allowed={"changing-column-type": reason}) == []
    without = check_migration(longer, allowed={"changing-column-type": "it is fine"})
    assert [fault.rule for fault in without] == ["allowance-without-reason"]
    unused = check_migration(longer, allowed={"changing-column-type": reason, "renaming-column": reason})
    assert [fault.rule for fault in unused] == ["unused-allowance"]
