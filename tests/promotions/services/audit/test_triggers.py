"""The triggers record each change, however it is written, under the actor of the deed."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import DatabaseError, connection, transaction

from promotions.database.acting import Actor, ActorKind, Deed, acting
from promotions.models import AuditRecord, Brand, BrandToken, Campaign, StaffDevice
from promotions.services.audit.records import drop_expired
from promotions.services.audit.triggers import find_missing_triggers, install_triggers, list_triggers
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows

pytestmark = pytest.mark.django_db


def a_deed(reason: str = "") -> Deed:
    return Deed("admin pause", lambda: Actor(ActorKind.USER, "7"), request_id="r-12345678", reason=reason)


def records(**given: Any) -> list[AuditRecord]:
    return list(AuditRecord.objects.filter(**given).order_by("pk"))


def run_sql(statement: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def save(campaign: Campaign) -> None:
    campaign.state = "paused"
    campaign.save()


def update_in_bulk(campaign: Campaign) -> None:
    campaign.state = "paused"
    Campaign.objects.bulk_update([campaign], ["state"])


WAYS = {
    "save": save,
    "queryset": lambda campaign: Campaign.objects.filter(state="live").update(state="paused"),
    "bulk": update_in_bulk,
    "raw SQL": lambda campaign: run_sql("UPDATE promotions_campaign SET state = 'paused' WHERE id = %s", campaign.pk),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_change_is_recorded_however_it_is_written(way: str) -> None:
    campaign = factories.campaign()

    with acting(a_deed("The printer is broken.")) as deed:
        WAYS[way](campaign)

    (record,) = records(subject="promotions.campaign", operation="update")
    assert (record.subject_id, record.subject_label) == (str(campaign.pk), "Free coffee")
    assert record.changes == {"state": ["live", "paused"]}
    assert (record.actor_kind, record.actor_id, record.action) == ("user", "7", "admin pause")
    assert (record.reason, record.request_id, record.deed_id) == ("The printer is broken.", "r-12345678", deed.id)
    assert (record.brand_id, record.partner_id) == (campaign.brand_id, None)


@pytest.mark.django_db(transaction=True)
def test_a_statement_outside_a_transaction_names_its_actor_and_no_later_one() -> None:
    brand = factories.brand()
    with acting(a_deed()):
        Brand.objects.filter(pk=brand.pk).update(name="First")
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('doorstep.deed', true)")
        assert not cursor.fetchone()[0]

    Brand.objects.filter(pk=brand.pk).update(name="Second")

    assert [record.actor_kind for record in records(operation="update")] == ["user", "database"]


@pytest.mark.django_db(transaction=True)
def test_a_rollback_takes_the_record_and_the_actor_with_it() -> None:
    brand = factories.brand()
    with acting(a_deed()), transaction.atomic():
        Brand.objects.filter(pk=brand.pk).update(name="Never")
        transaction.set_rollback(True)

    with acting(a_deed("Later.")):
        Brand.objects.filter(pk=brand.pk).update(name="Now")

    (record,) = records(operation="update")
    assert (record.reason, record.changes["name"][1]) == ("Later.", "Now")


def test_sealed_columns_are_recorded_without_their_values() -> None:
    token = BrandToken.objects.create(
        brand=factories.brand(), label="BI", token_digest=b"\xca\xfe" * 16, created_at=NOW
    )
    User.objects.create_user("jeanne", email="jeanne@example.org", password="correct horse")
    campaign = factories.campaign(seed=b"\xfe\xed" * 16)

    every = " ".join(str(record.changes) for record in records())

    for value in ("cafe", "feed", "jeanne", "correct", campaign.salt):
        assert value not in every
    (made,) = records(subject="promotions.brandtoken")
    assert made.changes["token_digest"] == "changed"
    assert made.subject_id == str(token.pk)


def test_a_time_of_use_is_no_change() -> None:
    device = rows.staff_device(factories.store())

    StaffDevice.objects.filter(pk=device.pk).update(last_seen_at=NOW, clock_ahead_ms=4)
    StaffDevice.objects.filter(pk=device.pk).update(last_seen_at=NOW + timedelta(hours=1), revoked_at=NOW)

    (record,) = records(subject="promotions.staffdevice", operation="update")
    assert list(record.changes) == ["revoked_at"]


def test_what_is_edited_on_a_page_belongs_to_its_history_and_tenant() -> None:
    campaign, user = factories.campaign(), User.objects.create_user("jeanne")
    window = factories.lunch_window(campaign)
    group = Group.objects.create(name="Role")
    user.groups.add(group)
    window.delete()

    (added, removed) = records(subject="promotions.timewindow")
    (joined,) = records(subject="auth.user_groups")
    (store,) = records(subject="promotions.campaign_stores")

    for record in (added, removed, store):
        assert (record.parent, record.parent_id) == ("promotions.campaign", str(campaign.pk))
        assert record.brand_id == campaign.brand_id
    assert removed.changes["starts_at"] == ["12:00:00", None]
    assert (joined.parent_id, joined.changes) == (str(user.pk), {"group_id": [None, group.pk]})


def test_a_store_s_changes_belong_to_its_partner() -> None:
    store = factories.store()

    assert {record.partner_id for record in records(subject__startswith="geofence.")} == {store.partner_id}


ATTACKS = {
    "update": "UPDATE promotions_auditrecord SET reason = 'another'",
    "delete": "DELETE FROM promotions_auditrecord",
    "truncate": "TRUNCATE promotions_auditrecord",
    "the retention's switch": "SET LOCAL doorstep.audit_retention = 'on'; DELETE FROM promotions_auditrecord",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_sql_of_the_product_s_role_alters_the_audit(attack: str) -> None:
    factories.brand()
    before = list(AuditRecord.objects.order_by("pk").values())

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        run_sql(ATTACKS[attack])

    assert list(AuditRecord.objects.order_by("pk").values()) == before


def test_every_declared_trigger_is_installed() -> None:
    assert len(list_triggers()) > 30
    assert find_missing_triggers() == []


def test_a_trigger_that_was_switched_off_dropped_or_altered_is_found_and_put_right() -> None:
    run_sql("ALTER TABLE promotions_brand DISABLE TRIGGER promotions_audit_changes")
    run_sql("DROP TRIGGER promotions_audit_rows ON geofence_store")
    run_sql("COMMENT ON TRIGGER promotions_audit_rows ON auth_user IS 'older'")
    run_sql("CREATE TRIGGER promotions_audit_old BEFORE UPDATE ON auth_group EXECUTE FUNCTION promotions_seal_audit()")

    found = find_missing_triggers()
    install_triggers()

    assert sorted(found or []) == [
        ("auth_user", "promotions_audit_rows"),
        ("geofence_store", "promotions_audit_rows"),
        ("promotions_brand", "promotions_audit_changes"),
    ]
    assert find_missing_triggers() == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname = 'promotions_audit_old'")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'promotions_auditrecord'::regclass")
        assert cursor.fetchone() == (2,)


def test_a_broken_seal_is_found() -> None:
    run_sql("ALTER TABLE promotions_auditrecord DISABLE TRIGGER promotions_auditrecord_sealed")

    assert find_missing_triggers() == [("promotions_auditrecord", "promotions_auditrecord_sealed")]


def test_retention_deletes_old_records_records_that_it_did_and_deletes_no_younger_one() -> None:
    factories.brand(name="Young")
    for days in (395, 397, 500):
        run_sql(
            "INSERT INTO promotions_auditrecord (recorded_at, operation, actor_kind, actor_id, action, reason,"
            " request_id, subject, subject_id, subject_label, parent, parent_id, changes)"
            " VALUES (now() - %s * interval '1 day', 'action', 'user', '7', 'old', '', '', '', '', '', '', '', '{}')",
            days,
        )
    # By this clock, everything has expired.
    far_ahead = NOW + timedelta(days=5_000)

    deleted = drop_expired(now=far_ahead), drop_expired(now=far_ahead)

    assert deleted == (2, 0)
    assert len(records(action="old")) == 1
    assert records(subject_label="Young")
    (record,) = records(subject="promotions.auditrecord")
    assert record.changes == {"deleted": [None, 2]}
