"""A campaign in the admin: set up on one page, checked, opened by the service, frozen where it has to be."""

import re
import uuid
from datetime import time, timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from geofence.models import Store, Visit
from promotions.mechanics.instant_win.models import PrizeLot
from promotions.models import Brand, Budget, Campaign, Coupon, Refusal
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows
from tests.promotions.http.staff import tills

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

ADD = "admin:promotions_campaign_add"


def fields(brand: Brand, store: Store, /, **given: Any) -> dict[str, Any]:
    return {
        "brand": brand.pk,
        "name": "Lunch",
        "kind": "coupon",
        "starts_on": "2026-09-22",
        "ends_on": "2026-10-22",
        "stores": [store.pk],
        "offer_title": "Free coffee",
        "benefit": "1 coffee",
        "redeem_within_h": 24,
        "units": 1,
        "trigger": "enter",
        "message_title": "Hungry?",
        "message_body": "{offer} at {store}",
        "message_life_s": 1200,
        "messages_per_device": 3,
        "priority": 0,
        "holdout_percent": 10,
        "notify_level": 0,
        "unlock_level": 1,
        "redeem_level": 0,
        "max_speed_mps": 3,
        **inline("windows"),
        **inline("prize_lots"),
        **given,
    }


def inline(prefix: str, *lines: dict[str, Any]) -> dict[str, Any]:
    posted: dict[str, Any] = {f"{prefix}-TOTAL_FORMS": len(lines), f"{prefix}-INITIAL_FORMS": 0}
    for number, line in enumerate(lines):
        posted.update({f"{prefix}-{number}-{name}": value for name, value in line.items()})
    return posted


def lunch(*days: int) -> dict[str, Any]:
    return {"weekdays": [str(day) for day in days], "starts_at": "12:00", "ends_at": "14:00"}


def faults(answer: HttpResponse) -> set[str]:
    assert answer.status_code == 200
    return set(answer.context_data["adminform"].form.errors)  # type: ignore[attr-defined]


def page(campaign: Campaign) -> str:
    return reverse("admin:promotions_campaign_change", args=[campaign.pk])


def save(client: Client, campaign: Campaign, **given: Any) -> HttpResponse:
    """Save the page as it is loaded now."""
    campaign.refresh_from_db()
    posted = fields(campaign.brand, campaign.stores.get(), **{"seen_version": campaign.version, **given})
    return client.post(page(campaign), posted)


def press(client: Client, campaign: Campaign, button: str) -> HttpResponse:
    form = {"_form_submitted": "on", "reason": "The offer was misprinted."}
    return client.post(f"{page(campaign)[: -len('change/')]}{button}/", form)


def reported(answer: HttpResponse) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]  # type: ignore[attr-defined]


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def brand() -> Brand:
    return factories.brand()


@pytest.fixture
def client(brand: Brand) -> Client:
    return rows.brand_manager(brand)


@pytest.fixture
def draft(brand: Brand, store: Store) -> Campaign:
    return factories.campaign(store, brand=brand, state="draft", opened_at=None)


def test_one_page_makes_a_campaign_with_hours_and_prizes(client: Client, brand: Brand, store: Store) -> None:
    posted = fields(
        brand,
        store,
        kind="instant_win",
        **inline("windows", lunch(0, 1, 2, 3, 4), {**lunch(5), "ends_at": "15:00"}),
        **inline("prize_lots", {"name": "Sandwich", "quantity": 20}),
    )

    answer = client.post(reverse(ADD), posted)

    campaign = Campaign.objects.get()
    assert answer.status_code == 302
    assert (campaign.state, campaign.created_at, len(campaign.salt)) == ("draft", NOW, 32)
    assert list(campaign.stores.all()) == [store]
    windows = [(window.weekdays, window.ends_at) for window in campaign.windows.order_by("pk")]
    assert windows == [(0b11111, time(14)), (0b100000, time(15))]
    assert campaign.prize_lots.get().quantity == 20


def test_levels_and_the_fastest_way_in_are_chosen_on_the_page(client: Client, brand: Brand, store: Store) -> None:
    client.post(
        reverse(ADD), fields(brand, store, notify_level=2, unlock_level=4, redeem_level=3, max_speed_mps="12.5")
    )

    campaign = Campaign.objects.get()
    assert (campaign.notify_level, campaign.unlock_level, campaign.redeem_level) == (2, 4, 3)
    assert campaign.max_speed_mps == 12.5


def test_a_new_campaign_is_offered_for_four_weeks_and_the_own_brand(client: Client, brand: Brand) -> None:
    form = client.get(reverse(ADD)).context_data["adminform"].form  # type: ignore[attr-defined]

    assert (str(form.initial["starts_on"]), str(form.initial["ends_on"])) == ("2026-09-23", "2026-10-20")
    assert form.initial["brand"] == brand.pk


def test_stored_weekdays_come_back_as_ticked_boxes(client: Client, draft: Campaign) -> None:
    factories.lunch_window(draft, weekdays=0b1000001)

    form = client.get(page(draft)).context_data["inline_admin_formsets"][0].formset.forms[0]  # type: ignore[attr-defined]

    ticked = [box.data["selected"] for box in form["weekdays"].subwidgets]
    assert ticked == [True, False, False, False, False, False, True]


BAD: list[tuple[dict[str, Any], set[str]]] = [
    ({"ends_on": "2026-09-21"}, {"ends_on"}),
    ({"starts_on": "someday", "ends_on": ""}, {"starts_on", "ends_on"}),
    ({"message_body": "{offer} at {shop}"}, {"message_body"}),
    ({"message_body": "{offer at store"}, {"message_body"}),
    ({"message_title": ""}, {"message_title"}),
    ({"message_title": "{a}", "message_body": "{b}"}, {"message_title", "message_body"}),
    ({"holdout_percent": 51}, {"holdout_percent"}),
    ({"holdout_percent": -1}, {"holdout_percent"}),
    ({"unlock_level": 5}, {"unlock_level"}),
    ({"notify_level": 3, "redeem_level": "high"}, {"notify_level", "redeem_level"}),
    ({"max_speed_mps": 0.5}, {"max_speed_mps"}),
    ({"message_life_s": 59}, {"message_life_s"}),
    ({"priority": 99_999}, {"priority"}),
    ({"unlock_cap": "99999999999"}, {"unlock_cap"}),
    ({"is_flash": "on"}, {"unlock_cap"}),
    ({"kind": "lottery"}, {"kind"}),
    ({"stores": []}, {"stores"}),
    ({"stores": ["x"]}, {"stores"}),
    ({"stores": ["999999999999999999999999"]}, {"stores"}),
    ({"name": "", "offer_title": "", "benefit": ""}, {"name", "offer_title", "benefit"}),
]


@pytest.mark.parametrize(("given", "wrong"), BAD)
def test_every_fault_is_shown_at_its_field(
    client: Client, brand: Brand, store: Store, given: dict[str, Any], wrong: set[str]
) -> None:
    answer = client.post(reverse(ADD), fields(brand, store, **given))

    assert faults(answer) == wrong
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(
    "line",
    [
        {**lunch(), "weekdays": []},
        {**lunch(0), "weekdays": ["7"]},
        {**lunch(0), "starts_at": "noon"},
        {**lunch(0), "ends_at": ""},
    ],
)
def test_a_bad_time_window_is_refused(client: Client, brand: Brand, store: Store, line: dict[str, Any]) -> None:
    answer = client.post(reverse(ADD), fields(brand, store, **inline("windows", line)))

    assert answer.status_code == 200
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(("time", "is_saved"), [("22:00", False), ("00:00", True)])
def test_hours_that_end_as_they_begin_are_a_slip_unless_they_are_the_whole_day(
    client: Client, brand: Brand, store: Store, time: str, is_saved: bool
) -> None:
    line = {**lunch(0), "starts_at": time, "ends_at": time}

    answer = client.post(reverse(ADD), fields(brand, store, **inline("windows", line)))

    assert Campaign.objects.exists() is is_saved
    assert ("00:00 in both fields for the whole day" in answer.content.decode()) is not is_saved


def test_a_campaign_without_a_message_is_fine(client: Client, brand: Brand, store: Store) -> None:
    client.post(reverse(ADD), fields(brand, store, message_title="", message_body=""))

    assert Campaign.objects.get().message_title == ""


def test_a_campaign_of_an_unknown_kind_is_not_opened(client: Client, draft: Campaign) -> None:
    Campaign.objects.filter(pk=draft.pk).update(kind="vote")

    answer = press(client, draft, "open_now")

    draft.refresh_from_db()
    assert 'value="vote"' not in client.get(reverse(ADD)).content.decode()
    assert draft.state == "draft"
    assert any("cannot be opened" in text for text in reported(answer))


def test_the_button_opens_a_campaign_that_is_ready(client: Client, draft: Campaign) -> None:
    answer = press(client, draft, "open_now")

    draft.refresh_from_db()
    assert (answer.status_code, draft.state, draft.opened_at) == (302, "live", NOW)
    assert reported(answer) == ["The campaign is open."]


def test_the_dialog_gets_the_next_address(client: Client, draft: Campaign) -> None:
    answer = client.post(
        f"{page(draft)[: -len('change/')]}open_now/", {"_form_submitted": "on"}, headers={"HX-Request": "true"}
    )

    assert (answer.status_code, answer["HX-Redirect"]) == (200, page(draft))


def test_asking_for_the_dialog_opens_nothing(client: Client, draft: Campaign) -> None:
    answer = client.get(f"{page(draft)[: -len('change/')]}open_now/")

    draft.refresh_from_db()
    assert (answer.status_code, draft.state) == (200, "draft")
    assert "Open this campaign?" in answer.content.decode()


def test_everything_missing_is_listed_at_once(client: Client, draft: Campaign, store: Store) -> None:
    store.geofences.all().delete()
    Campaign.objects.filter(pk=draft.pk).update(ends_on="2026-09-02", kind="instant_win")

    answer = press(client, draft, "open_now")

    draft.refresh_from_db()
    assert draft.state == "draft"
    assert len(reported(answer)) >= 3


def test_pause_resume_and_end_move_the_state(client: Client, draft: Campaign) -> None:
    states = []
    for button in ("open_now", "pause", "resume", "end"):
        assert press(client, draft, button).status_code == 302
        draft.refresh_from_db()
        states.append(draft.state)

    assert states == ["live", "paused", "live", "ended"]


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("draft", {"open_now"}),
        ("live", {"pause", "end", "recall"}),
        ("paused", {"resume", "end", "recall"}),
        ("ended", {"recall"}),
    ],
)
def test_only_buttons_that_make_sense_are_there_and_work(
    client: Client, draft: Campaign, state: str, buttons: set[str]
) -> None:
    Campaign.objects.filter(pk=draft.pk).update(state=state, opened_at=NOW)

    content = client.get(page(draft)).content.decode()

    every = {"open_now", "pause", "resume", "end", "recall"}
    assert {button for button in every if f"/{draft.pk}/{button}/" in content} == buttons
    for button in every - buttons:
        assert press(client, draft, button).status_code == 403


@pytest.mark.parametrize(("state", "button"), [("draft", "open_now"), ("ended", "recall")])
def test_another_brand_s_campaign_cannot_be_touched(draft: Campaign, state: str, button: str) -> None:
    Campaign.objects.filter(pk=draft.pk).update(state=state, opened_at=NOW)
    stranger = rows.brand_manager(factories.brand())

    assert press(stranger, draft, button).status_code == 403
    assert press(rows.brand_analyst(draft.brand), draft, button).status_code == 403


def test_recalling_withdraws_the_campaigns_coupons_and_no_others(client: Client, draft: Campaign, store: Store) -> None:
    Campaign.objects.filter(pk=draft.pk).update(state="live", opened_at=NOW)
    mine, over = tills.coupon(draft), tills.coupon(draft, valid_until=NOW)
    foreign = tills.coupon(factories.campaign(store))

    answer = press(client, draft, "recall")

    assert reported(answer) == ["1 recalled."]
    recalled = {each.row.pk: Coupon.objects.get(pk=each.row.pk).recalled_at for each in (mine, over, foreign)}
    assert list(recalled.values()) == [NOW, None, None]


def test_after_the_opening_arms_and_kind_stay_as_they_are(client: Client, draft: Campaign, store: Store) -> None:
    press(client, draft, "open_now")
    draft.refresh_from_db()
    salt = draft.salt

    stranger = factories.brand().pk
    save(client, draft, brand=stranger, kind="vote", holdout_percent=40, name="Renamed", salt="x", seed="x")

    draft.refresh_from_db()
    assert draft.name == "Renamed"
    assert (draft.kind, draft.holdout_percent, draft.salt, draft.seed) == ("coupon", 0, salt, None)


def test_prizes_are_fixed_once_their_moments_are_drawn(client: Client, draft: Campaign, store: Store) -> None:
    Campaign.objects.filter(pk=draft.pk).update(kind="instant_win")
    lot = PrizeLot.objects.create(campaign=draft, name="Sandwich", quantity=2)
    press(client, draft, "open_now")

    save(client, draft, **inline("prize_lots", {"name": "More", "quantity": 9}))

    assert [found.pk for found in draft.prize_lots.all()] == [lot.pk]
    change = reverse("admin:promotions_prizelot_change", args=[lot.pk])
    assert client.post(change, {"campaign": draft.pk, "name": "Sandwich", "quantity": 99}).status_code == 403


def test_an_ended_campaign_is_only_looked_at(client: Client, draft: Campaign, store: Store) -> None:
    Campaign.objects.filter(pk=draft.pk).update(state="ended", opened_at=NOW)

    assert client.get(page(draft)).status_code == 200
    assert client.post(page(draft), fields(draft.brand, store)).status_code == 403


@pytest.mark.parametrize(("state", "is_deleted"), [("draft", True), ("live", False), ("ended", False)])
def test_only_a_draft_can_be_deleted(client: Client, draft: Campaign, state: str, is_deleted: bool) -> None:
    Campaign.objects.filter(pk=draft.pk).update(state=state)

    client.post(reverse("admin:promotions_campaign_delete", args=[draft.pk]), {"post": "yes"})

    assert Campaign.objects.filter(pk=draft.pk).exists() is not is_deleted


def test_live_campaigns_are_not_deleted_in_bulk_either(client: Client, draft: Campaign) -> None:
    Campaign.objects.filter(pk=draft.pk).update(state="live")

    client.post(
        reverse("admin:promotions_campaign_changelist"),
        {"action": "delete_selected", "_selected_action": [draft.pk], "post": "yes"},
    )

    assert Campaign.objects.filter(pk=draft.pk).exists()


def test_the_page_shows_the_cost_and_power_of_the_holdout(client: Client) -> None:
    requested = {"phones_per_week": "2000", "holdout_percent": "20", "days": "28"}

    sentence = client.get(reverse("admin:promotions_campaign_proof"), requested).json()["sentence"]

    assert sentence.startswith("With about 2,000 phones a week for 4 weeks and 20 % held out, about 1,600 phones")
    assert sentence.endswith("A rise from 5 % to 6.9 % can be detected.")


@pytest.mark.parametrize("words", ["", "x", "-1", "0", "9" * 400, "²", "1e9", "nan"])
def test_the_sentence_survives_any_number(client: Client, words: str) -> None:
    requested = dict.fromkeys(["phones_per_week", "holdout_percent", "days"], words)

    assert client.get(reverse("admin:promotions_campaign_proof"), requested).status_code == 200


def test_the_preview_knows_the_placeholders(client: Client, draft: Campaign) -> None:
    content = client.get(page(draft)).content.decode()

    assert 'data-placeholders="store,brand,offer,until"' in content


def test_caps_of_a_live_campaign_hold_at_once(client: Client, draft: Campaign, store: Store) -> None:
    press(client, draft, "open_now")
    late = factories.store(name="Late")

    stores = [store.pk, late.pk]
    save(client, draft, unlock_cap=9, store_redeem_cap=4, stores=stores)

    assert set(Budget.objects.values_list("scope", "store__name", "cap")) == {
        ("unlock", None, 9),
        ("redeem", store.name, 4),
        ("redeem", "Late", 4),
    }


def test_a_cap_is_not_lowered_below_what_is_used(client: Client, draft: Campaign, store: Store) -> None:
    Campaign.objects.filter(pk=draft.pk).update(unlock_cap=5)
    press(client, draft, "open_now")
    Budget.objects.update(used=3)

    answer = save(client, draft, unlock_cap=2, redeem_cap=0)

    assert faults(answer) == {"unlock_cap", "redeem_cap"}
    assert list(Budget.objects.values_list("cap", "used")) == [(5, 3)]


def test_the_page_counts_who_came_after_a_refusal_in_large_cells_only(client: Client, draft: Campaign) -> None:
    press(client, draft, "open_now")
    fence = draft.stores.get().geofences.get()
    for number in range(24):
        device_id = uuid.uuid4()
        refused_at = NOW - timedelta(days=2)
        Refusal.objects.create(
            stage="unlock", reason="not_at_store", campaign=draft, device_id=device_id, refused_at=refused_at
        )
        came_at = refused_at + timedelta(minutes=10 if number < 9 else 300)
        if number < 12:
            Visit.objects.create(
                id=uuid.uuid4(), device_id=device_id, geofence=fence, store=fence.store, geofence_version=1,
                entered_at=came_at, last_inside_at=came_at, confirmed_at=came_at,
            )  # fmt: skip

    text = " ".join(re.sub("<[^>]+>", " ", client.get(page(draft)).content.decode()).split())

    assert "30 minutes 24 fewer than 10 –" in text
    assert "24 hours 24 12 31% to 69%" in text
