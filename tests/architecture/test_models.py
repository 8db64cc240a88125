"""Conventions for every model."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model

from promotions.row_policies import Menu
from promotions.row_policies.faults import find_faults
from promotions.row_policies.queries import read_policy

MODELS = [
    model for app in ("geofence", "notifications", "promotions") for model in apps.get_app_config(app).get_models()
]
NAMES = [model.__name__ for model in MODELS]


def test_there_are_models() -> None:
    assert len(MODELS) > 25


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_the_docstring_ends_with_the_personal_data_it_contains(model: type[Model]) -> None:
    last_line = (model.__doc__ or "").strip().splitlines()[-1].strip()

    # How long it is kept and how it is erased is in `row_policy`.
    assert re.fullmatch(r"pii: [^;]+\.", last_line), last_line


def test_every_model_declares_what_becomes_of_its_rows() -> None:
    assert find_faults(MODELS) == []


def test_no_two_lines_of_the_menu_have_the_same_place() -> None:
    menus = [read_policy(model).menu for model in MODELS]
    places = [(menu.section, menu.position) for menu in menus if isinstance(menu, Menu)]

    assert len(places) > 30
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_it_is_in_the_admin(model: type[Model]) -> None:
    assert admin.site.is_registered(model)


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_its_constraints_and_indexes_are_named_after_app_and_model(model: type[Model]) -> None:
    app = model._meta.app_label

    for rule in [*model._meta.constraints, *model._meta.indexes]:
        assert rule.name.startswith(f"{app}_"), rule.name


@pytest.mark.parametrize("model", MODELS, ids=NAMES)
def test_no_field_reads_the_clock(model: type[Model]) -> None:
    for field in model._meta.get_fields():
        assert not getattr(field, "auto_now", False), field
        assert not getattr(field, "auto_now_add", False), field
