"""App configuration: ties Celery to Django, registers checks and mechanics, keeps the database in step."""

from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import module_has_submodule
from django.utils.translation import gettext_lazy as _

from promotions.mechanics import PACKAGES


class PromotionsConfig(AppConfig):
    """The product app."""

    name = "promotions"
    verbose_name = _("Promotions")

    def import_models(self) -> None:
        """Import the mechanics' models too: their tables belong to this app."""
        super().import_models()
        for package in PACKAGES:
            if module_has_submodule(import_module(package), "models"):
                import_module(f"{package}.models")

    def ready(self) -> None:
        """Load the Celery app, so that shared tasks find their broker, the checks, and the mechanics."""
        from promotions import celery, checks  # noqa: F401
        from promotions.http.sign_in import sessions
        from promotions.services import mechanics
        from promotions.services.audit.triggers import watch_audited_tables

        mechanics.register(import_module(f"{package}.mechanic").MECHANIC for package in PACKAGES)
        sessions.connect()
        watch_audited_tables()
        # First, so that they record what the others change.
        post_migrate.connect(_install_audit_triggers, sender=self)
        post_migrate.connect(_ensure_roles, sender=self)
        post_migrate.connect(_make_event_partitions, sender=self)


def _install_audit_triggers(**_given: Any) -> None:
    # Not a migration: they follow from the declarations, also where a declaration alone has changed.
    from promotions.services.audit.triggers import install_triggers

    install_triggers()


def _ensure_roles(**_given: Any) -> None:
    # Not a data migration: Django makes the permissions themselves only after the migrations.
    from promotions.services.accounts.tenancy import ensure_roles

    ensure_roles()


def _make_event_partitions(**_given: Any) -> None:
    # Before the first event, and after a restore. Later beat makes them.
    from promotions import clock
    from promotions.services.event_partitions import make_partitions

    make_partitions(now=clock.now())
