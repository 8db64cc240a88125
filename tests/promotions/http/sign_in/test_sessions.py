"""Sessions: they end with any change of the account, and with time."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse

from promotions.models import AdminSession, Membership, SecurityEvent
from tests import factories
from tests.factories import NOW
from tests.promotions.http.sign_in.people import PASSWORD, account, brand_manager, browser, is_signed_in, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


def _add_group(user: User) -> None:
    user.groups.add(Group.objects.create(name="Another role"))


def _remove_group(user: User) -> None:
    user.groups.clear()


def _add_permission(user: User) -> None:
    user.user_permissions.add(Permission.objects.earliest("pk"))


def _add_membership(user: User) -> None:
    Membership.objects.create(user=user, brand=factories.brand())


def _remove_membership(user: User) -> None:
    user.memberships.all().delete()  # type: ignore[attr-defined]


def _promote(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_superuser=True)


def _deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def _exclude(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=False)


def _change_password(user: User) -> None:
    user.set_password("another long password")
    user.save(update_fields=["password"])


CHANGES: list[Callable[[User], None]] = [
    _add_group,
    _remove_group,
    _add_permission,
    _add_membership,
    _remove_membership,
    _promote,
    _deactivate,
    _exclude,
    _change_password,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_session_ends_with_any_change_of_its_account(change: Callable[[User], None]) -> None:
    user, client = brand_manager(factories.brand()), browser()
    sign_in(client, user)
    assert is_signed_in(client)

    change(user)

    page = client.get(reverse("admin:promotions_campaign_changelist"))
    assert (page.status_code, page.headers["Location"].split("?")[0]) == (302, reverse("admin:login"))
    assert not is_signed_in(client)


def test_the_sign_in_page_states_why_and_the_log_has_it() -> None:
    user, client = brand_manager(factories.brand()), browser()
    sign_in(client, user)
    _add_group(user)

    page = client.get(reverse("admin:index"), follow=True)

    assert "Your password or your role has changed." in page.content.decode()
    session = AdminSession.objects.get()
    assert (session.end_reason, session.ended_at) == ("account_changed", NOW)
    ended = SecurityEvent.objects.get(kind="session_ended")
    assert (ended.user, ended.detail) == (user, "account_changed")


def test_an_ended_session_is_no_key_to_reports_either() -> None:
    brand = factories.brand()
    campaign = factories.campaign(factories.store(), brand=brand)
    user, client = brand_manager(brand), browser()
    sign_in(client, user)
    report = f"/v1/campaigns/{campaign.uuid}/report"
    assert client.get(report).status_code == 200

    AdminSession.objects.update(ended_at=NOW, end_reason="ended_by_user")

    assert client.get(report).status_code == 401


@pytest.mark.parametrize("setting", ["ADMIN_SESSION_IDLE_S", "ADMIN_SESSION_LIFE_S"])
def test_a_session_ends_by_idle_time_and_by_age(
    setting: str, settings: Any, set_clock: Callable[[datetime], None]
) -> None:
    settings.ADMIN_SESSION_IDLE_S = settings.ADMIN_SESSION_LIFE_S = 7_200
    setattr(settings, setting, 3_600)
    client = browser()
    sign_in(client, account(is_superuser=True))

    set_clock(NOW + timedelta(minutes=60))
    assert is_signed_in(client)
    step = 1 if setting == "ADMIN_SESSION_LIFE_S" else 61
    set_clock(NOW + timedelta(minutes=60 + step))
    assert not is_signed_in(client)


def test_signing_out_ends_the_row() -> None:
    client = browser()
    sign_in(client, account())

    client.post(reverse("admin:logout"))

    assert AdminSession.objects.get().end_reason == "signed_out"


def test_a_session_without_a_row_is_none(client: Client) -> None:
    client.force_login(account())
    session = client.session
    del session["admin_session"]
    session.save()

    assert not is_signed_in(client)


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"],
)
def test_a_sign_in_leads_to_no_other_host(target: str) -> None:
    client, user = browser(), account()

    answer = sign_in(client, user, next=target)
    again = client.get(reverse("admin:login"), {"next": target})

    assert answer.headers["Location"] == again.headers["Location"] == reverse("admin:index")


def test_a_sign_in_leads_to_the_page_that_was_asked_for() -> None:
    client, page = browser(), reverse("admin:promotions_campaign_changelist")

    asked = client.get(page)

    assert sign_in(client, account(), next=asked.headers["Location"].partition("next=")[2]).headers["Location"] == page


def test_a_user_without_admin_is_refused() -> None:
    client = browser()

    assert sign_in(client, account(is_staff=False), PASSWORD).status_code == 200
    assert not AdminSession.objects.exists()
