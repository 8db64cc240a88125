"""`manage.py createsuperuser` without a way around the password rules.

Django's command asks “Bypass password validation?”, and does not check `DJANGO_SUPERUSER_PASSWORD` at all.
"""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError


class Command(createsuperuser.Command):
    """Django's command; it refuses a password that the rules refuse."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.UserModel: Any = _StrictModel()


class _StrictModel:
    """The user model, as Django's command uses it. Only the creation differs."""

    def __call__(self, **fields: Any) -> User:
        return User(**fields)

    def __getattr__(self, name: str) -> Any:
        return getattr(User, name)

    @property
    def _default_manager(self) -> "_StrictManager":
        return _StrictManager(User._default_manager)


class _StrictManager:
    def __init__(self, manager: Any) -> None:
        self._manager = manager

    def db_manager(self, using: str) -> "_StrictManager":
        return _StrictManager(self._manager.db_manager(using))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    def create_superuser(self, password: str | None = None, **fields: Any) -> User:
        """Create the account. Errors: CommandError for a password that the rules refuse."""
        if password is not None:
            try:
                validate_password(password, User(**fields))
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from error
        created: User = self._manager.create_superuser(password=password, **fields)
        return created
