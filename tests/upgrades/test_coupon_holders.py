"""Coupons get their holders while the release before goes on issuing coupons, on the demo's world."""

import importlib
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from pytest_django.plugin import DjangoDbBlocker

from promotions.management.demo_world import plant_world
from promotions.management.drill.content import read_content, settle_session
from promotions.models import Coupon, Device, Redemption, Unlock
from promotions.services.presence.assurance import GivenFix
from promotions.services.till.redemptions import redeem_coupon
from promotions.services.till.scans import Scan
from promotions.services.till.staff_devices import create_enrolment, enrol_device
from promotions.services.unlocks.coupons import read_code
from promotions.services.unlocks.evaluation import UnlockAttempt
from promotions.services.unlocks.unlocks import unlock_offer
from tests import factories
from tests.databases import use_database
from tests.factories import NOW
from tests.templates import copied

PHONES = 12


def find_migration(name: str) -> str:
    """The full name of a migration; its number may change."""
    [found] = [key[1] for key in MigrationLoader(None).disk_migrations if key[0] == "promotions" and name in key[1]]
    return found


FIRST, FILL, LAST = map(find_migration, ("give_coupons_a_holder", "fill_holders", "require_holders"))
STEPS = sorted(
    name for app, name in MigrationLoader(None).disk_migrations if app == "promotions" and FIRST <= name <= LAST
)
fill = importlib.import_module(f"promotions.migrations.{FILL}")


def before() -> str:
    """The migration that the release before ends with, as far as coupons go."""
    [(_app, name)] = MigrationLoader(None).disk_migrations["promotions", FIRST].dependencies
    return name


@pytest.fixture
def world(template: str, django_db_blocker: DjangoDbBlocker, settings: LazySettings) -> Iterator[str]:
    """A separate database: the demo's world, phones that unlocked both campaigns, and coupons that were redeemed."""
    settings.DEBUG = True
    settings.SECRET_KEY = "a secret of this clone, as the local commands make one"
    name = f"holders_{uuid.uuid4().hex[:12]}"
    with copied(template, name), django_db_blocker.unblock(), use_database(NAME=name):
        plant_coupons()
        yield name
        connection.close()


def plant_coupons() -> None:
    planted = plant_world(now=NOW)
    store = planted.stores[0]
    token = create_enrolment(store=store, label="Till", is_manager=False, user=None, now=NOW)
    till, _access = enrol_device(token=token, now=NOW)
    fix = GivenFix(store.latitude_deg, store.longitude_deg, 5.0, NOW)
    for number in range(PHONES):
        device = factories.device()
        for campaign in planted.campaigns:
            unlock, _is_new = unlock_offer(
                device=device, campaign_uuid=campaign.uuid, attempt=UnlockAttempt(fix), now=NOW
            )
        if number % 3 == 0:
            scan = Scan(uuid.uuid4(), NOW, Redemption.Source.TYPED, code=read_code(unlock.coupon))
            redeem_coupon(staff_device=till, scan=scan, is_dry_run=False, now=NOW)


def migrate(name: str) -> None:
    call_command("migrate", "promotions", name, verbosity=0)


def migrate_to_the_end() -> None:
    call_command("migrate", "promotions", verbosity=0)


def read_holders() -> dict[uuid.UUID, uuid.UUID]:
    return dict(Coupon.objects.values_list("pk", "device_id"))


def read_guards(database: str) -> Any:
    """Columns, constraints, indexes, triggers and functions of the database."""
    with closing(connect(database)) as other:
        settle_session(other)
        return read_content(other).guards


def connect(database: str) -> "psycopg.Connection[tuple[Any, ...]]":
    """Another session on the same database."""
    at = connection.settings_dict
    return psycopg.connect(
        dbname=database, host=at["HOST"], port=at["PORT"], user=at["USER"], password=at["PASSWORD"], autocommit=True
    )


class ReleaseBefore:
    """The models of the release before, as one of its processes has them."""

    def __init__(self) -> None:
        apps = MigrationLoader(None).project_state([("promotions", before())]).apps
        self.unlocks, self.coupons, self.devices = (
            apps.get_model("promotions", name) for name in ("Unlock", "Coupon", "Device")
        )

    def issue(self) -> Any:
        """Insert a device, its unlock and its coupon; return the coupon."""
        device = self.devices.objects.create(platform="android", consents=["geo_match"], registered_at=NOW)
        like = self.unlocks.objects.filter(coupon__isnull=False).first()
        unlock = self.unlocks.objects.create(
            campaign_id=like.campaign_id,
            device=device,
            store_id=like.store_id,
            outcome="coupon",
            level=1,
            granted_at=NOW,
        )
        return self.coupons.objects.create(
            unlock=unlock,
            campaign_id=like.campaign_id,
            code_digest=uuid.uuid4().bytes * 2,
            benefit="1 free coffee",
            store_ids=[like.store_id],
            valid_from=NOW,
            valid_until=NOW + timedelta(hours=24),
        )


def test_back_and_forth_each_coupon_of_the_demo_keeps_its_holder(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill, "BATCH_ROWS", 3)
    holders, guards = read_holders(), read_guards(world)

    migrate(before())
    columns = read_guards(world)["columns"]
    migrate_to_the_end()

    assert len(holders) >= PHONES
    assert not any("promotions_coupon.device_id" in column for column in columns)
    assert read_holders() == holders
    assert set(Coupon.objects.values_list("source", flat=True)) == {"unlock"}
    assert read_guards(world) == guards


def test_the_release_before_issues_and_erases_coupons_after_each_step(world: str) -> None:
    migrate(before())
    release, issued, erased = ReleaseBefore(), [], []
    for step in STEPS:
        migrate(step)
        issued.append(release.issue())
        erased.append(release.issue())
        release.devices.objects.filter(pk=erased[-1].unlock.device_id).delete()

    holders = read_holders()

    assert {coupon.pk: coupon.unlock.device_id for coupon in issued}.items() <= holders.items()
    assert not holders.keys() & {coupon.pk for coupon in erased}
    assert len(issued) == len(STEPS) == 6


def test_without_the_trigger_the_release_before_issues_nothing(world: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER promotions_coupon_holder ON promotions_coupon")

    with pytest.raises(IntegrityError, match="device_id"):
        ReleaseBefore().issue()


@contextmanager
def half_of_the_coupons_locked(database: str) -> Iterator[None]:
    """Another session keeps every second coupon locked, as a recall of many coupons does until its commit."""
    locked = list(Coupon.objects.order_by("pk").values_list("pk", flat=True))[::2]
    with closing(connect(database)) as other, other.transaction():
        other.execute("SELECT FROM promotions_coupon WHERE id = ANY(%s) FOR UPDATE", [locked])
        yield


def limit_waiting() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '300ms'")


def empty_holders() -> int:
    """Undo what comes after the first step, so that the coupons wait for their holders; return how many."""
    migrate(before())
    migrate(FIRST)
    return Unlock.objects.filter(coupon__isnull=False).count()


def test_filling_waits_for_no_lock_and_a_later_pass_fills_the_rest(world: str) -> None:
    count = empty_holders()
    limit_waiting()

    with half_of_the_coupons_locked(world):
        filled = sum(fill.fill_batches(connection))
    fill.fill_holders(None, connection.schema_editor())

    assert filled == count // 2
    assert Coupon.objects.filter(device_id=None).count() == 0
    assert all(device_id == unlocked for device_id, unlocked in Coupon.objects.values_list("device", "unlock__device"))


def test_without_skipping_it_would_wait_for_them(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    empty_holders()
    limit_waiting()
    monkeypatch.setattr(fill, "FILL_BATCH", fill.FILL_BATCH.replace("SKIP LOCKED", ""))

    with half_of_the_coupons_locked(world), pytest.raises(OperationalError, match="lock timeout"):
        sum(fill.fill_batches(connection))


def test_the_way_back_is_refused_while_a_coupon_has_no_unlock(world: str) -> None:
    coupon = Coupon.objects.filter(redemptions=None)[0]
    Coupon.objects.filter(pk=coupon.pk).update(source=Coupon.Source.GOODWILL, unlock=None)

    with pytest.raises(DatabaseError, match="unlock_id"):
        migrate(before())
    migrate_to_the_end()

    assert Device.objects.filter(coupons=coupon).exists()
