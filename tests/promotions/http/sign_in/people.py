"""Accounts and browsers of the sign-in tests."""

from itertools import count
from typing import Any

from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from promotions.models import Brand, Membership
from promotions.services.accounts.tenancy import BRAND_MANAGER, ensure_roles

PASSWORD = "correct horse battery"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

_numbers = count(1)


def account(**given: Any) -> User:
    """A business user with `PASSWORD`."""
    number = next(_numbers)
    values = {"username": f"person{number}", "email": f"person{number}@shop.example", "is_staff": True, **given}
    return User.objects.create_user(password=PASSWORD, **values)


def brand_manager(brand: Brand) -> User:
    """A manager of a brand."""
    ensure_roles()
    user = account()
    user.groups.add(Group.objects.get(name=BRAND_MANAGER))
    Membership.objects.create(user=user, brand=brand)
    return user


def browser(address: str = "203.0.113.7") -> Client:
    """A browser at a network address."""
    return Client(REMOTE_ADDR=address, headers={"User-Agent": FIREFOX})


def sign_in(client: Client, user: User | str, password: str = PASSWORD, **given: str) -> HttpResponse:
    """Send the form of the sign-in page."""
    name = user if isinstance(user, str) else user.username
    return client.post(reverse("admin:login"), {"username": name, "password": password, **given})  # type: ignore[return-value]


def is_signed_in(client: Client) -> bool:
    """Return whether admin shows its overview to this browser."""
    return client.get(reverse("admin:index")).status_code == 200
