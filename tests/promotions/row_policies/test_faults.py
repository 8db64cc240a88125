"""A model without a declaration, or with a wrong one, is refused with its name and the remedy."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import models

from promotions import checks
from promotions.models import Campaign, Device, StaffDevice
from promotions.row_policies import (
    Blanked,
    Cascade,
    Delete,
    Detach,
    ErasedBy,
    ExpiredBy,
    Export,
    ExportedBy,
    Forever,
    Keep,
    NotExported,
    NotPersonal,
    Owner,
    Remains,
    Roles,
    RowPolicy,
    Unlisted,
    WithParent,
)
from promotions.row_policies.faults import find_faults
from promotions.row_policies.libraries import LIBRARY_POLICIES
from promotions.row_policies.queries import list_declared, read_policy

Declare = Callable[[RowPolicy | None], type[models.Model]]

RIGHT = RowPolicy(
    owner=Owner(brand="campaign__brand_id", partner="till__store__partner_id"),
    roles=Roles(brand_manager=("view",)),
    menu=Unlisted("a test"),
    retention=Keep(by="cast_at", days=1),
    erasure=Cascade(by="device_id"),
    export=Export(order_by="cast_at", columns=("choice", "campaign__uuid")),
)
NOWHERE = "promotions.services.nowhere.function"


@pytest.fixture
def declare() -> Iterator[Declare]:
    """Return a function that defines a model with a declaration, or without one."""

    def define(policy: RowPolicy | None) -> type[models.Model]:
        class ToyBallot(models.Model):
            campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="+")
            device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+")
            till = models.ForeignKey(StaffDevice, on_delete=models.SET_NULL, null=True, related_name="+")
            choice = models.CharField(max_length=10)
            cast_at = models.DateTimeField()

            class Meta:
                app_label = "promotions"

            def __str__(self) -> str:
                return self.choice

        if policy is not None:
            ToyBallot.row_policy = policy  # type: ignore[attr-defined]
        return ToyBallot

    yield define
    apps.all_models["promotions"].pop("toyballot", None)
    apps.clear_cache()


def test_a_right_declaration_has_no_fault(declare: Declare) -> None:
    assert find_faults([declare(RIGHT)]) == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"owner": Owner(brand="campaigns__brand_id")}, "owner.brand is 'campaigns__brand_id', which does not lead"),
        ({"owner": Owner(brand="till__store__partner_id")}, "owner.brand is 'till__store__partner_id'"),
        ({"owner": Owner(partner="campaign_id")}, "owner.partner is 'campaign_id'"),
        ({"owner": Owner()}, "roles gives permissions, but no one owns a row"),
        ({"retention": Keep(by="choice", days=1)}, "retention.by is 'choice': name a date or time field"),
        ({"retention": Keep(by="cast_on", days=1)}, "retention.by is 'cast_on'"),
        ({"retention": Keep(by="cast_at", seconds_setting="NO_SUCH_S")}, "seconds_setting is 'NO_SUCH_S'"),
        ({"retention": Keep(by="cast_at", not_before="till__label")}, "not_before is 'till__label'"),
        ({"retention": Keep(by="cast_at", or_with_parent="till")}, "or_with_parent is 'till'"),
        ({"retention": Keep(by="cast_at", deleted_by=NOWHERE)}, "retention.deleted_by is"),
        ({"retention": Keep(by="cast_at", blanked=Blanked("it", 1, NOWHERE))}, "retention.blanked.function is"),
        ({"retention": ExpiredBy(NOWHERE, until="then")}, "retention.function is"),
        ({"retention": WithParent("till")}, "retention.parent is 'till': name a key"),
        ({"retention": WithParent("choice")}, "retention.parent is 'choice'"),
        ({"erasure": Delete(by="campaign_id")}, "erasure.by is 'campaign_id': name the field"),
        ({"erasure": Cascade(by="till_id")}, "erasure.by is 'till_id': name the path"),
        ({"erasure": Cascade(by="device_id", first=NOWHERE)}, "erasure.first is"),
        ({"erasure": Detach(by="device_id")}, "on_delete=SET_NULL"),
        ({"erasure": ErasedBy(NOWHERE), "export": NotExported("a test")}, "erasure.function is"),
        ({"erasure": NotPersonal()}, "erasure leaves the rows, but they lead to a device"),
        ({"erasure": Remains("a test")}, "erasure leaves the rows, but they lead to a device"),
        ({"export": None}, "export is missing"),
        ({"export": Export(order_by="cast_at", columns=("colour",))}, "export names a column that does not exist"),
        ({"export": ExportedBy(NOWHERE)}, "export.function is"),
    ],
)
def test_a_wrong_declaration_is_named_with_its_remedy(declare: Declare, wrong: dict[str, Any], sentence: str) -> None:
    faults = find_faults([declare(replace(RIGHT, **wrong))])

    assert any(fault.startswith("promotions.ToyBallot: row_policy.") and sentence in fault for fault in faults), faults


def test_a_cascade_from_a_row_that_stays_is_a_fault(declare: Declare) -> None:
    parent = declare(replace(RIGHT, retention=Forever("a test"), erasure=Remains("a test"), export=None))

    class ToyStub(models.Model):
        row_policy = replace(RIGHT, owner=Owner(), roles=Roles(), erasure=Cascade(by="ballot__device_id"))
        ballot = models.ForeignKey(parent, on_delete=models.CASCADE, related_name="+")
        cast_at = models.DateTimeField()

        class Meta:
            app_label = "promotions"

        def __str__(self) -> str:
            return ""

    try:
        faults = find_faults([ToyStub])
    finally:
        del apps.all_models["promotions"]["toystub"]

    assert any("its first key is to a row that stays" in fault for fault in faults), faults


@pytest.mark.django_db
def test_a_model_without_a_declaration_stops_every_start(declare: Declare) -> None:
    declare(None)
    sentence = "promotions.ToyBallot does not declare what becomes of its rows: add `row_policy = RowPolicy(...)`"

    [error] = [error for error in run_checks() if error.id == "doorstep.E001"]

    assert error.msg.startswith(sentence)
    assert error.msg in checks.find_start_faults()
    with pytest.raises(CommandError, match="promotions.ToyBallot does not declare"):
        call_command("check")


@pytest.fixture
def library_model() -> Iterator[type[models.Model]]:
    """A model of a library that no other file names."""

    class ToyBeacon(models.Model):
        device_id = models.UUIDField()
        heard_at = models.DateTimeField()

        class Meta:
            app_label = "geofence"

        def __str__(self) -> str:
            return ""

    yield ToyBeacon
    del apps.all_models["geofence"]["toybeacon"]
    apps.clear_cache()


BEACON = RowPolicy(
    menu=Unlisted("a test"),
    retention=Keep(by="heard_at", days=1),
    erasure=Delete(by="device_id"),
    export=Export(order_by="heard_at", columns=("heard_at",)),
)


def list_check_errors() -> list[str]:
    return [error.msg for error in run_checks() if error.id == "doorstep.E001"]


@pytest.mark.django_db
def test_a_library_model_without_an_entry_stops_every_start(library_model: type[models.Model]) -> None:
    [message] = list_check_errors()

    assert message.startswith(
        "geofence.ToyBeacon does not declare what becomes of its rows: "
        'add `"geofence.ToyBeacon": RowPolicy(...)` to LIBRARY_POLICIES in promotions/row_policies/libraries.py'
    )
    assert message in checks.find_start_faults()


def test_an_entry_is_the_policy_of_a_library_model(
    library_model: type[models.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIBRARY_POLICIES, "geofence.ToyBeacon", BEACON)

    assert list_check_errors() == []
    assert read_policy(library_model) is BEACON
    assert library_model in list_declared("geofence")


def test_a_wrong_entry_is_named_with_its_remedy(
    library_model: type[models.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(BEACON, retention=Keep(by="seen_at", days=1))
    monkeypatch.setitem(LIBRARY_POLICIES, "geofence.ToyBeacon", wrong)

    [message] = list_check_errors()

    assert message.startswith("geofence.ToyBeacon: row_policy.retention.by is 'seen_at'")


@pytest.mark.parametrize("label", ["geofence.Visits", "promotions.Campaign", "auth.User", "nowhere.Model"])
def test_an_entry_without_a_library_model_is_a_fault(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIBRARY_POLICIES, label, BEACON)

    [message] = list_check_errors()

    assert message == (
        f"{label} has an entry in promotions/row_policies/libraries.py, but is no model of geofence or notifications: "
        "correct the label, or delete the entry."
    )


def test_an_inherited_declaration_does_not_count(declare: Declare) -> None:
    class ToyHeir(declare(RIGHT)):  # type: ignore[misc]
        class Meta:
            app_label = "promotions"

    try:
        assert "does not declare" in find_faults([ToyHeir])[0]
    finally:
        del apps.all_models["promotions"]["toyheir"]
