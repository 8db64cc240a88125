"""Password rules: the same wherever a password is set."""

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command, get_commands
from django.test import Client
from django.urls import reverse

from tests.promotions.admin import rows
from tests.promotions.http.sign_in.people import PASSWORD, account

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


@pytest.mark.parametrize("password", ["1", "short words", "839201748392017", "weakperson2026", "justinbieber"])
def test_a_weak_password_is_refused_when_a_user_is_added_or_changed(password: str) -> None:
    operator = rows.operator()
    typed = {"password1": password, "password2": password, "usable_password": "true"}

    operator.post(reverse("admin:auth_user_add"), {"username": "weakperson2026", **typed})
    assert not User.objects.filter(username="weakperson2026").exists()

    user = account(username="weakperson2026")
    operator.post(reverse("admin:auth_user_password_change", args=[user.pk]), typed)
    user.refresh_from_db()
    assert user.check_password(PASSWORD)


@pytest.mark.parametrize("password", ["1", "839201748392017"])
def test_a_weak_password_is_refused_when_one_changes_the_own(password: str, client: Client) -> None:
    user = account()
    client.force_login(user)

    answer = client.post(
        reverse("admin:password_change"),
        {"old_password": PASSWORD, "new_password1": password, "new_password2": password},
    )

    user.refresh_from_db()
    assert answer.status_code == 200
    assert user.check_password(PASSWORD)


def test_createsuperuser_is_ours() -> None:
    assert get_commands()["createsuperuser"] == "promotions.account_commands"


def test_createsuperuser_checks_the_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "1")
    given = {"interactive": False, "username": "root", "email": "root@shop.example"}

    with pytest.raises(CommandError, match="too short"):
        call_command("createsuperuser", **given)
    assert not User.objects.exists()

    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", stdout=StringIO(), **given)
    assert User.objects.get().check_password(PASSWORD)


def test_createsuperuser_cannot_be_talked_into_a_weak_password(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = "django.contrib.auth.management.commands.createsuperuser"
    monkeypatch.setattr(f"{module}.getpass.getpass", lambda *_prompt: "1")
    monkeypatch.setattr("builtins.input", lambda _prompt: "y")

    with pytest.raises(CommandError, match="too short"):
        call_command(
            "createsuperuser",
            username="root",
            email="root@shop.example",
            stdin=_Terminal(),
            stdout=StringIO(),
            stderr=StringIO(),
        )
    assert not User.objects.exists()


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True
