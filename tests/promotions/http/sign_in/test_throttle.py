"""Failed sign-ins: counted before the check, locked by account and network, unlocked by time."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from promotions.logic import sign_ins
from promotions.models import AdminSession, SecurityEvent, SignInCounter
from promotions.services.accounts import throttle
from promotions.services.accounts.security_log import Origin
from tests.factories import NOW
from tests.promotions.http.sign_in.people import account, browser, is_signed_in, sign_in

pytestmark = pytest.mark.django_db

SetClock = Callable[[datetime], None]


def test_sixty_wrong_passwords_lock_the_account_in_this_network_for_a_time(
    set_clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    set_clock(NOW)
    caplog.set_level("INFO")
    user, attacker = account(), browser()

    for number in range(60):
        sign_in(attacker, user, f"wrong {number}")
    right = sign_in(attacker, user)

    assert right.status_code == 200
    assert "Too many failed attempts. Try again in 15 minutes." in right.content.decode()
    assert not is_signed_in(attacker)
    kinds = [event.kind for event in SecurityEvent.objects.order_by("pk")]
    assert kinds == ["sign_in_failed"] * 5 + ["locked_out"]
    assert [record.message for record in caplog.records].count("sign_in_refused") == 56

    set_clock(NOW + timedelta(minutes=14, seconds=59))
    assert sign_in(attacker, user).status_code == 200
    set_clock(NOW + timedelta(minutes=15))
    assert sign_in(attacker, user).status_code == 302
    assert is_signed_in(attacker)


def test_others_in_the_network_and_the_account_in_other_networks_are_not_locked(set_clock: SetClock) -> None:
    set_clock(NOW)
    user, colleague, attacker = account(), account(), browser()

    for number in range(60):
        sign_in(attacker, user, f"wrong {number}")

    assert sign_in(browser(), colleague).status_code == 302
    assert sign_in(browser("198.51.100.9"), user).status_code == 302


def test_a_network_that_tries_many_accounts_is_locked_except_for_those_who_signed_in_there(
    set_clock: SetClock,
) -> None:
    set_clock(NOW)
    regular, newcomer = account(), account()
    assert sign_in(browser(), regular).status_code == 302

    for number in range(sign_ins.NETWORK.failures):
        throttle.charge_sign_in(account=f"name{number}", origin=Origin(address="203.0.113.7"), now=NOW)

    assert sign_in(browser(), newcomer).status_code == 200
    assert sign_in(browser(), regular).status_code == 302


def test_an_unknown_account_gets_the_same_answers(set_clock: SetClock) -> None:
    set_clock(NOW)
    user = account()

    pages = [
        [sign_in(browser(), name, "wrong").content.decode().replace(name, "") for _ in range(7)]
        for name in (user.username, "no one")
    ]

    known, unknown = ([_without_token(page) for page in each] for each in pages)
    assert known == unknown
    assert SecurityEvent.objects.filter(user=None).exclude(account="").count() == 0


def _without_token(page: str) -> str:
    return re.sub(r"\b[A-Za-z0-9]{64}\b", "", page)


def test_a_complete_sign_in_forgets_the_failures(set_clock: SetClock) -> None:
    set_clock(NOW)
    user, client = account(), browser()

    for _ in range(3):
        for number in range(4):
            sign_in(client, user, f"wrong {number}")
        assert sign_in(client, user).status_code == 302

    assert not SignInCounter.objects.filter(failures__gt=12).exists()


def test_a_guess_behind_a_trusted_proxy_is_counted_for_its_client(set_clock: SetClock, settings: Any) -> None:
    set_clock(NOW)
    settings.TRUSTED_PROXIES = 1
    user = account()

    for number in range(6):
        forged = f"198.51.100.{number}, 203.0.113.7"
        client = browser("10.0.0.1")
        client.defaults["HTTP_X_FORWARDED_FOR"] = forged
        answer = sign_in(client, user, "wrong")

    assert "Too many failed attempts" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_of_many_guesses_at_once_five_are_checked() -> None:
    origin = Origin(address="203.0.113.7")

    def charge(_number: int) -> bool:
        try:
            return throttle.charge_sign_in(account="someone", origin=origin, now=NOW).unlock_at is None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(charge, range(40)))

    assert allowed.count(True) == sign_ins.PAIR.failures


def test_a_session_has_a_coarse_network_and_a_short_name_of_the_browser(set_clock: SetClock) -> None:
    set_clock(NOW)
    sign_in(browser("203.0.113.77"), account())

    session = AdminSession.objects.get()
    assert (session.network, session.device) == ("203.0.113.0/24", "Firefox, Linux")


@pytest.mark.parametrize(
    ("address", "subnet", "network"),
    [
        ("203.0.113.77", "203.0.113.77/32", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.77/32", "203.0.113.0/24"),
        ("no address", "", ""),
    ],
)
def test_an_address_is_cut(address: str, subnet: str, network: str) -> None:
    assert sign_ins.find_subnet(address) == subnet
    assert sign_ins.coarsen_network(address) == network
