"""The import of stores: all lines or none, the same file again changes nothing, every fault by line."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from geofence.models import Geofence, GeofenceRevision, Partner, Store
from promotions.errors import InvalidInput
from promotions.logic.tables import Column, read_flag
from promotions.management.commands.write_docs import describe_imports
from promotions.services.imports import stores
from promotions.services.imports.stores import StoresImported, import_stores
from tests.factories import NOW
from tests.patience import SLACK_S

pytestmark = pytest.mark.django_db

HEAD = "name,latitude,longitude,timezone,opening_hours,radius_m,address\n"
BASTILLE = "Bastille,48.8530,2.3690,Europe/Paris,mon-sat 9:00-19:00,120,4 place de la Bastille\n"
NATION = "Nation,48.8484,2.3959,Europe/Paris,always,,\n"


@pytest.fixture
def partner() -> Partner:
    return Partner.objects.create(name="Tartine & Co")


def load(partner: Partner, text: str, **given: Any) -> StoresImported:
    return import_stores(partner_id=partner.pk, text=text, now=NOW, **given)


def faults(partner: Partner, text: str) -> set[tuple[str, str]]:
    with pytest.raises(InvalidInput) as refused:
        load(partner, text)
    return {(fault.pointer, fault.code) for fault in refused.value.faults}


def test_a_file_creates_stores_with_their_fences(partner: Partner) -> None:
    done = load(partner, HEAD + BASTILLE + NATION)

    assert done == StoresImported(created=2, changed=0, unchanged=0)
    bastille, nation = Store.objects.order_by("name")
    assert (bastille.address, bastille.timezone, bastille.partner) == (
        "4 place de la Bastille",
        "Europe/Paris",
        partner,
    )
    assert bastille.opening_hours["sat"] == [["09:00", "19:00"]]
    assert "sun" not in bastille.opening_hours
    assert nation.opening_hours == {}
    fence = Geofence.objects.get()
    assert (fence.store, fence.role, fence.radius_m) == (bastille, "store", 120.0)


def test_the_same_file_again_changes_nothing(partner: Partner) -> None:
    load(partner, HEAD + BASTILLE + NATION)

    done = load(partner, HEAD + BASTILLE + NATION)

    assert done == StoresImported(created=0, changed=0, unchanged=2)
    assert (Store.objects.count(), Geofence.objects.get().version) == (2, 1)


def test_a_changed_line_changes_its_store_and_empty_cells_leave_the_rest(partner: Partner) -> None:
    load(partner, HEAD + BASTILLE)

    done = load(
        partner, "name;latitude;longitude;timezone;address;radius_m\nBastille;48,8531;2,369;Europe/Paris;;150\n"
    )

    store = Store.objects.get()
    assert done == StoresImported(created=0, changed=1, unchanged=0)
    assert (store.latitude_deg, store.address, len(store.opening_hours)) == (48.8531, "4 place de la Bastille", 6)
    fence = Geofence.objects.get()
    assert (fence.latitude_deg, fence.radius_m, fence.version) == (48.8531, 150.0, 2)
    assert GeofenceRevision.objects.count() == 2


def test_every_fault_is_found_and_nothing_is_imported(partner: Partner) -> None:
    text = (
        HEAD
        + BASTILLE
        + "Bastille,91,2.3,Europe/Paris,,,\n"
        + "Opéra,48.87,2.33,Mars/Olympus,mon 9-10,20,\n"
        + "Lyon,45.76,4.83,Europe/Paris,mon 09:00-19:00; mon 10:00-11:00,,\n"
    )

    assert faults(partner, text) == {
        ("/2/name", "duplicate_value"),
        ("/3/name", "duplicate_value"),
        ("/3/latitude", "coordinates_swapped"),
        ("/4/timezone", "unknown_value"),
        ("/4/opening_hours", "invalid_hours"),
        ("/4/radius_m", "radius_too_small"),
        ("/5/opening_hours", "invalid_hours"),
    }
    assert not Store.objects.exists()


def test_two_stores_of_one_name_are_not_guessed_between(partner: Partner) -> None:
    for _ in range(2):
        Store.objects.create(
            partner=partner, name="Bastille", timezone="Europe/Paris", latitude_deg=1.0, longitude_deg=2.0
        )

    assert faults(partner, HEAD + BASTILLE) == {("/2/name", "duplicate_value")}


def test_another_partners_store_of_the_same_name_stays(partner: Partner) -> None:
    load(Partner.objects.create(name="Other"), HEAD + BASTILLE)

    assert load(partner, HEAD + BASTILLE).created == 1


def test_a_dry_run_reports_and_changes_nothing(partner: Partner) -> None:
    assert load(partner, HEAD + BASTILLE, is_dry_run=True) == StoresImported(created=1, changed=0, unchanged=0)
    assert not Store.objects.exists()


def test_a_new_column_is_one_line(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    added = Column("in_use", read_flag, "yes or no: phones are matched with the store.", field="is_active")
    monkeypatch.setattr(stores, "COLUMNS", (*stores.COLUMNS, added))
    head, line = HEAD.replace("\n", ",in_use\n"), BASTILLE.replace("\n", ",{}\n")

    assert faults(partner, head + line.format("perhaps")) == {("/2/in_use", "unknown_value")}
    load(partner, head + line.format("no"))

    assert Store.objects.get().is_active is False
    assert "| `in_use` |  | yes or no: phones are matched with the store. |" in describe_imports()


@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_create_each_store_once(partner: Partner) -> None:
    gate = threading.Barrier(2)

    def work(_number: int) -> StoresImported:
        try:
            gate.wait(timeout=SLACK_S)
            return load(partner, HEAD + BASTILLE + NATION)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, range(2)))

    assert sorted(result.created for result in results) == [0, 2]
    assert Store.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_without_the_partners_lock_they_create_it_twice(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    both_looked = threading.Barrier(2)
    look = stores.list_store_names

    def look_together(**given: Any) -> list[str]:
        found = look(**given)
        both_looked.wait(timeout=SLACK_S)
        return found

    monkeypatch.setattr(stores, "lock_partner", lambda partner_id: None)
    monkeypatch.setattr(stores, "list_store_names", look_together)

    def work(_number: int) -> StoresImported:
        try:
            return load(partner, HEAD + BASTILLE)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, range(2)))

    assert [result.created for result in results] == [1, 1]


def test_the_command_imports_a_file_and_lists_its_faults(partner: Partner, tmp_path: Path, capsys: Any) -> None:
    good, bad, latin = (tmp_path / name for name in ("good.csv", "bad.csv", "latin.csv"))
    good.write_text(HEAD + BASTILLE, encoding="utf-8")
    bad.write_text(HEAD + BASTILLE.replace("48.8530", "north"), encoding="utf-8")
    latin.write_bytes((HEAD + "Opéra,48.8708,2.3322,Europe/Paris,,,\n").encode("cp1252"))

    call_command("import_stores", good, partner="Tartine & Co", dry_run=True)
    call_command("import_stores", good, partner="Tartine & Co")
    call_command("import_stores", latin, partner="Tartine & Co")

    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == [f"{prefix}1 created, 0 changed, 0 unchanged." for prefix in ("Dry run: ", "")]
    assert set(Store.objects.values_list("name", flat=True)) == {"Bastille", "Opéra"}
    with pytest.raises(CommandError, match="line 2, latitude: “north” is no number"):
        call_command("import_stores", bad, partner="Tartine & Co")
    with pytest.raises(CommandError, match="no partner 'Unknown'"):
        call_command("import_stores", good, partner="Unknown")
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_stores", tmp_path / "none.csv", partner="Tartine & Co")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("\ufeff".encode() + b"Op\xe9ra", id="Windows-1252 after the mark of UTF-8"),
        pytest.param(b"Op\xe9ra \x81", id="a byte that neither has"),
    ],
)
def test_a_damaged_text_is_rejected_by_line_and_not_imported_with_wrong_letters(
    partner: Partner, tmp_path: Path, content: bytes
) -> None:
    damaged, mark = tmp_path / "damaged.csv", "\ufeff".encode()
    head = (mark if content.startswith(mark) else b"") + (HEAD + BASTILLE).encode()
    damaged.write_bytes(head + content.removeprefix(mark) + b",48.8708,2.3322,Europe/Paris,,,\n")

    with pytest.raises(CommandError, match="line 3: this is neither UTF-8 nor Windows-1252"):
        call_command("import_stores", damaged, partner="Tartine & Co")

    assert not Store.objects.exists()


def test_the_names_of_the_time_zones_are_read_once(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    stores._list_timezones.cache_clear()
    reads: list[None] = []
    monkeypatch.setattr(stores, "available_timezones", lambda: reads.append(None) or {"Europe/Paris"})

    load(partner, HEAD + BASTILLE + NATION)
    monkeypatch.undo()
    stores._list_timezones.cache_clear()

    assert len(reads) == 1
