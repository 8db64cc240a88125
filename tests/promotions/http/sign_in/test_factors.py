"""Second factors: enrolment, codes that work once, recovery codes, removal, and people without one."""

import base64
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from promotions.models import AdminSession, RecoveryCode, SecondFactor, SecurityEvent
from promotions.services.accounts import factors
from promotions.services.accounts.security_log import NOWHERE
from tests.factories import NOW
from tests.promotions.http.sign_in.people import account, browser, is_signed_in, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now", "guarded")]

SECRET = base64.b32encode(b"twenty bytes of salt").decode()


@pytest.fixture
def guarded(settings: Any) -> None:
    """As outside DEBUG."""
    settings.REQUIRES_SECOND_FACTOR = True
    settings.CONFIRMATION_LIFE_S = 900


def code_at(now: datetime, secret: str = SECRET) -> str:
    return TOTP(base64.b32decode(secret), 6, SHA1(), 30, enforce_key_length=False).generate(now.timestamp()).decode()


def with_app(**given: Any) -> User:
    """A user whose app was added an hour ago."""
    user, then = account(**given), NOW - timedelta(hours=1)
    assert factors.add_totp(user=user, secret=SECRET, code=code_at(then), label="Phone", origin=NOWHERE, now=then)
    return user


def send_code(client: Client, code: str) -> Any:
    return client.post(reverse("sign-in-factor"), {"code": code})


def sign_in_fully(client: Client, user: User, now: datetime = NOW) -> None:
    sign_in(client, user)
    assert send_code(client, code_at(now)).status_code == 302
    assert is_signed_in(client)


def test_a_password_alone_opens_nothing() -> None:
    user, client = with_app(is_superuser=True), browser()

    answer = sign_in(client, user)

    assert answer.headers["Location"] == reverse("sign-in-factor")
    assert not is_signed_in(client)
    assert client.get(reverse("account")).status_code == 302
    # With a known factor the password adds no other.
    assert client.get(reverse("account-add-factor")).headers["Location"] == reverse("admin:login")
    assert not AdminSession.objects.exists()


def test_a_code_completes_the_sign_in_and_works_once() -> None:
    user, first, second = with_app(), browser(), browser("198.51.100.9")

    sign_in_fully(first, user)
    sign_in(second, user)
    replayed = send_code(second, code_at(NOW))
    earlier = send_code(second, code_at(NOW - timedelta(seconds=30)))

    assert "was used before" in replayed.content.decode()
    assert earlier.status_code == 200
    assert not is_signed_in(second)
    assert AdminSession.objects.get().method == "totp"


@pytest.mark.django_db(transaction=True)
def test_a_code_sent_twice_at_once_is_accepted_once() -> None:
    user = with_app()

    def use(_number: int) -> bool:
        try:
            return factors.use_totp(user=user, code=code_at(NOW), now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(8))).count(True) == 1


def test_five_wrong_codes_lock_even_with_the_right_password_in_between(
    set_clock: Callable[[datetime], None],
) -> None:
    user, client = with_app(), browser()

    for _ in range(5):
        sign_in(client, user)
        send_code(client, "000000")
    refused = send_code(client, code_at(NOW))

    assert "Too many failed attempts" in refused.content.decode()
    later = NOW + timedelta(minutes=15)
    set_clock(later)
    sign_in_fully(client, user, later)


def test_a_person_without_a_factor_is_led_to_enrolment_and_can_do_nothing_else() -> None:
    user, client = account(is_superuser=True), browser()
    target = reverse("admin:promotions_campaign_changelist")

    answer = sign_in(client, user, next=target)
    enrolment = client.get(answer.headers["Location"], follow=True)

    assert enrolment.redirect_chain[-1][0] == reverse("account-add-factor")
    assert client.get(target).status_code == client.get(reverse("account")).status_code == 302
    secret = re.findall(r"<code>([A-Z2-7]{32})</code>", enrolment.content.decode())[0]
    refused = client.post(reverse("account-add-factor"), {"label": "Phone", "code": "123456"})
    assert "not correct" in refused.content.decode()
    added = client.post(reverse("account-add-factor"), {"label": "Phone", "code": code_at(NOW, secret)})

    assert added.headers["Location"] == reverse("account-recovery-codes")
    codes = client.get(added.headers["Location"]).content.decode()
    assert len(set(re.findall(r"<code>([\w-]{14})</code>", codes))) == factors.RECOVERY_CODES
    assert f'href="{target}"' in codes
    assert client.get(target).status_code == 200
    assert client.get(reverse("account-recovery-codes")).status_code == 302
    stored = SecondFactor.objects.get()
    assert base64.b32decode(secret) not in bytes(stored.secret or b"")
    kinds = set(SecurityEvent.objects.values_list("kind", flat=True))
    assert {"factor_added", "recovery_codes_made", "signed_in"} <= kinds


def test_a_session_by_password_alone_is_refused_once_factors_are_required(settings: Any) -> None:
    settings.REQUIRES_SECOND_FACTOR = False
    user, client = account(), browser()
    sign_in(client, user)
    assert is_signed_in(client)

    settings.REQUIRES_SECOND_FACTOR = True

    assert not is_signed_in(client)


def test_a_recovery_code_works_once_and_for_its_user_only() -> None:
    user, other, client = with_app(), with_app(), browser()
    code = factors.make_recovery_codes(user=user, origin=NOWHERE, now=NOW)[0]

    sign_in(browser("198.51.100.1"), other)
    stranger = browser("198.51.100.2")
    sign_in(stranger, other)
    assert send_code(stranger, code).status_code == 200
    sign_in(client, user)
    assert send_code(client, code.upper()).status_code == 302
    again = browser("198.51.100.3")
    sign_in(again, user)
    assert send_code(again, code).status_code == 200

    assert RecoveryCode.objects.filter(user=user, used_at=None).count() == factors.RECOVERY_CODES - 1
    assert code.replace("-", "") not in RecoveryCode.objects.first().digest  # type: ignore[union-attr]


def test_removing_a_factor_ends_the_other_sessions_and_the_last_one_stays(
    set_clock: Callable[[datetime], None],
) -> None:
    user, here, there = with_app(), browser(), browser("198.51.100.9")
    sign_in_fully(here, user)
    later = NOW + timedelta(minutes=1)
    set_clock(later)
    sign_in_fully(there, user, later)
    second = factors.add_totp(user=user, secret=SECRET, code=code_at(later), label="Tablet", origin=NOWHERE, now=later)
    assert second

    here.post(reverse("account-remove-factor", args=[second.pk]))

    assert is_signed_in(here)
    assert not is_signed_in(there)
    last = SecondFactor.objects.get()
    kept = here.post(reverse("account-remove-factor", args=[last.pk]), follow=True)
    assert "The last second factor cannot be removed." in kept.content.decode()
    assert SecondFactor.objects.filter(pk=last.pk).exists()


def test_no_one_removes_a_factor_or_ends_a_session_of_another() -> None:
    victim, client = with_app(), browser()
    theirs = browser("198.51.100.9")
    sign_in_fully(theirs, victim)
    sign_in_fully(client, with_app())

    client.post(reverse("account-remove-factor", args=[SecondFactor.objects.get(user=victim).pk]))
    client.post(reverse("account-end-sessions"), {"session": AdminSession.objects.get(user=victim).pk})
    client.post(reverse("account-end-sessions"), {"session": "no id"})

    assert is_signed_in(theirs)
    assert SecondFactor.objects.filter(user=victim).exists()


def test_credentials_change_only_soon_after_a_sign_in(set_clock: Callable[[datetime], None]) -> None:
    user, client = with_app(is_superuser=True), browser()
    sign_in_fully(client, user)
    page = reverse("admin:auth_user_add")
    assert client.get(page).status_code == 200

    later = NOW + timedelta(minutes=16)
    set_clock(later)
    asked = client.get(page)

    assert asked.headers["Location"].startswith(reverse("admin:login") + "?confirm=1")
    assert client.get(reverse("admin:promotions_campaign_changelist")).status_code == 200
    form = client.get(asked.headers["Location"])
    assert "Confirm that it is you" in form.content.decode()
    confirmed = client.post(
        asked.headers["Location"], {"username": user.username, "password": "correct horse battery", "next": page}
    )
    assert confirmed.headers["Location"] == reverse("sign-in-factor")
    assert client.get(page).status_code == 302
    assert send_code(client, code_at(later)).headers["Location"] == page
    assert client.get(page).status_code == 200
    assert AdminSession.objects.count() == 1


def test_all_other_sessions_end_at_once(set_clock: Callable[[datetime], None]) -> None:
    user = with_app()
    clients = [browser(), browser("198.51.100.9"), browser("198.51.100.10")]
    for number, client in enumerate(clients):
        set_clock(NOW + timedelta(minutes=number))
        sign_in_fully(client, user, NOW + timedelta(minutes=number))

    page = clients[0].get(reverse("account")).content.decode()
    clients[0].post(reverse("account-end-sessions"), {"all": "1"})

    assert page.count("Firefox, Linux") == 3
    assert [is_signed_in(client) for client in clients] == [True, False, False]


def test_an_own_new_password_ends_the_other_sessions(set_clock: Callable[[datetime], None]) -> None:
    user, here, there = with_app(), browser(), browser("198.51.100.9")
    sign_in_fully(here, user)
    set_clock(NOW + timedelta(minutes=1))
    sign_in_fully(there, user, NOW + timedelta(minutes=1))
    new = "another long password"

    here.post(
        reverse("admin:password_change"),
        {"old_password": "correct horse battery", "new_password1": new, "new_password2": new},
    )

    assert is_signed_in(here)
    assert not is_signed_in(there)
    assert SecurityEvent.objects.filter(kind="password_changed", user=user).exists()


def test_a_secret_key_may_change(settings: Any) -> None:
    user = with_app()
    code = factors.make_recovery_codes(user=user, origin=NOWHERE, now=NOW)[0]
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another " * 5

    assert factors.use_recovery_code(user=user, code=code, origin=NOWHERE, now=NOW)
    assert factors.use_totp(user=user, code=code_at(NOW), now=NOW)
    settings.SECRET_KEY_FALLBACKS = []
    assert not factors.use_totp(user=user, code=code_at(NOW + timedelta(seconds=30)), now=NOW)


@pytest.mark.parametrize("body", ["", "null", "[]", "{}", '{"id": 1}', '{"id": "a", "rawId": "!", "response": []}'])
def test_a_malformed_passkey_is_refused(body: str) -> None:
    client = browser()
    client.post(reverse("passkey-sign-in-begin"), "{}", content_type="application/json")

    answer = client.post(reverse("passkey-sign-in"), body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_an_operator_removes_the_factors_of_another_user_but_not_the_own(settings: Any) -> None:
    operator, user, client, theirs = with_app(is_superuser=True), with_app(), browser(), browser("198.51.100.9")
    sign_in_fully(theirs, user)
    sign_in_fully(client, operator)
    selected = [operator.pk, user.pk]
    chosen = {"action": "remove_factors", "_selected_action": selected, "reason": "The phone was lost or stolen."}

    client.post(reverse("admin:auth_user_changelist"), chosen)

    assert list(SecondFactor.objects.values_list("user", flat=True)) == [operator.pk]
    assert not is_signed_in(theirs)


def test_a_command_removes_the_factors_of_an_operator_who_lost_them() -> None:
    user, client = with_app(), browser()
    sign_in_fully(client, user)

    call_command("remove_factors", user.username, stdout=StringIO())

    assert not is_signed_in(client)
    assert sign_in(client, user).headers["Location"] == reverse("sign-in-factor")
    assert client.get(reverse("sign-in-factor")).headers["Location"] == reverse("account-add-factor")
