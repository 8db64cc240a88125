"""The desk: what waits is seen by the store's partner and the coupon's brand, and decided once, by the brand."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from geofence.models import Store
from promotions.admin.conflicts import REASONS
from promotions.http.staff.offline import MALFORMED
from promotions.logic.offline import Breach
from promotions.models import Campaign, OfflineScan
from promotions.services.till.desk import decide_scan
from promotions.services.till.offline_scans import NONCE_MISMATCH
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows

pytestmark = pytest.mark.django_db

LIST = "admin:promotions_offlinescan_changelist"


@pytest.fixture(autouse=True)
def _at_noon(now: Any) -> None:
    """The clock is fixed at `NOW`."""


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def campaign(store: Store) -> Campaign:
    return factories.campaign(store)


@pytest.fixture
def scan(campaign: Campaign, store: Store) -> OfflineScan:
    return rows.offline_scan(campaign, store)


def page_of(scan: OfflineScan) -> str:
    return reverse("admin:promotions_offlinescan_change", args=[scan.pk])


def decide(client: Client, scan: OfflineScan, verb: str) -> Any:
    return client.post(
        reverse(f"admin:promotions_offlinescan_{verb}", args=[scan.pk]), {"_form_submitted": "on"}, follow=True
    )


def listed(client: Client, **query: str) -> set[int]:
    answer = client.get(reverse(LIST), query_params=query)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


def words(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_the_list_shows_what_waits_for_a_decision(campaign: Campaign, store: Store, scan: OfflineScan) -> None:
    decided = rows.offline_scan(campaign, store, decision="honoured")
    accepted = rows.offline_scan(campaign, store, outcome="accepted", reason="", taken_before_by=None)
    strange = rows.offline_scan(campaign, store, coupon=None, outcome="out_of_policy", reason="code_unknown")
    client = rows.operator()

    assert listed(client) == {scan.pk, strange.pk}
    assert listed(client, standing="decided") == {decided.pk}
    assert listed(client, standing="accepted") == {accepted.pk}
    assert listed(client, standing="all") == {scan.pk, decided.pk, accepted.pk, strange.pk}
    assert listed(client, standing="nonsense") == {scan.pk, strange.pk}


def test_a_conflict_shows_both_tills_both_times_the_clock_and_the_value(scan: OfflineScan) -> None:
    reported = words(rows.operator().get(page_of(scan)))

    for expected in (
        "Another till had redeemed the coupon", "1 free coffee", "2.50", "Away", "République", "3 min ahead", "60 min",
        "2026-09-22 12:33:00 Europe/Paris", "not yet",
    ):  # fmt: skip
        assert expected in reported, (expected, reported[-3000:])


@pytest.mark.parametrize(
    ("given", "reported"),
    [
        ({"scanned_at": NOW}, "Till&#x27;s clock correct"),
        ({"scanned_at": NOW - timedelta(seconds=40)}, "Till&#x27;s clock 40 s behind"),
        ({"scanned_at": NOW + timedelta(hours=3)}, "Till&#x27;s clock 3 h ahead"),
        ({"received_at": NOW + timedelta(days=3)}, "Sent in after 3 days"),
        ({"received_at": NOW - timedelta(hours=1)}, "Sent in after 0 s"),
        ({"coupon": None, "taken_before_by": None, "reason": "code_unknown"}, "Benefit unknown"),
        ({"outcome": "accepted", "taken_before_by": None, "reason": ""}, "nothing to decide"),
    ],
)
def test_clocks_and_delays_are_shown_in_few_words(
    campaign: Campaign, store: Store, given: dict[str, Any], reported: str
) -> None:
    scan = rows.offline_scan(campaign, store, **given)

    assert reported in words(rows.operator().get(page_of(scan)))


def test_a_till_of_another_partner_is_not_named(campaign: Campaign, store: Store) -> None:
    scan = rows.offline_scan(campaign, store)
    assert scan.taken_before_by is not None
    elsewhere = factories.store(name="Bastille")
    first = scan.taken_before_by
    first.staff_device.label, first.store = "Secret till", elsewhere
    first.staff_device.save()
    first.save()

    reported = words(rows.partner_manager(store.partner).get(page_of(scan)))

    assert "Bastille" in reported
    assert "of another partner" in reported
    assert "Secret till" not in reported


def test_each_sees_only_its_own(campaign: Campaign, store: Store, scan: OfflineScan) -> None:
    foreign = rows.offline_scan(factories.campaign(elsewhere := factories.store()), elsewhere)
    strange = rows.offline_scan(campaign, store, coupon=None, outcome="out_of_policy", reason="code_unknown")
    brand, partner = rows.brand_manager(campaign.brand), rows.partner_manager(store.partner)

    assert listed(brand) == {scan.pk}
    assert listed(partner) == {scan.pk, strange.pk}
    for client in (brand, partner):
        assert client.get(page_of(foreign)).status_code == 302
        assert client.get(page_of(scan)).status_code == 200
    assert rows.brand_analyst(campaign.brand).get(reverse(LIST)).status_code == 403


@pytest.mark.parametrize(("verb", "decision"), [("honour", "honoured"), ("decline", "declined")])
def test_the_brand_decides_once(campaign: Campaign, scan: OfflineScan, verb: str, decision: str) -> None:
    client = rows.brand_manager(campaign.brand)
    other = {"honour": "decline", "decline": "honour"}[verb]

    answer = decide(client, scan, verb)
    again = decide(client, scan, other)

    scan.refresh_from_db()
    assert "Decided" in words(answer)
    assert (scan.decision, scan.decided_at) == (decision, NOW)
    assert scan.decided_by == User.objects.get(pk=client.session["_auth_user_id"])
    assert again.status_code in {403, 404}


def test_the_partner_looks_and_does_not_decide(store: Store, scan: OfflineScan) -> None:
    client = rows.partner_manager(store.partner)

    answer = decide(client, scan, "honour")

    scan.refresh_from_db()
    assert answer.status_code in {403, 404}
    assert scan.decision == ""


def test_what_was_accepted_is_not_decided(campaign: Campaign, store: Store) -> None:
    scan = rows.offline_scan(campaign, store, outcome="accepted", reason="", taken_before_by=None)

    assert decide(rows.operator(), scan, "decline").status_code in {403, 404}
    user = User.objects.create_user("someone")
    assert not decide_scan(scan_id=scan.pk, decision=OfflineScan.Decision.DECLINED, user=user, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_once_one_counts() -> None:
    scan = rows.offline_scan(factories.campaign(store := factories.store()), store)
    users = [User.objects.create_user(name) for name in ("ann", "ben")]

    def decide_as(user: User, decision: OfflineScan.Decision) -> bool:
        try:
            return decide_scan(scan_id=scan.pk, decision=decision, user=user, now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(decide_as, users, (OfflineScan.Decision.HONOURED, OfflineScan.Decision.DECLINED)))

    scan.refresh_from_db()
    assert sorted(answers) == [False, True]
    assert (scan.decision, scan.decided_by) == (("honoured", users[0]) if answers[0] else ("declined", users[1]))


def test_every_reason_has_a_sentence_and_is_documented() -> None:
    document = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text(encoding="utf-8")
    reasons = {*Breach, "already_redeemed", "redeem_cap_reached"}

    assert set(REASONS) == reasons
    assert [reason for reason in sorted(reasons | {NONCE_MISMATCH, MALFORMED}) if f"`{reason}`" not in document] == []
