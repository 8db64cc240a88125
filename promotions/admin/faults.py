"""Faults of a service, shown at the fields of a form in the reader's language."""

from collections.abc import Iterable
from typing import Any

from django.forms import BaseForm, ValidationError
from django.utils.translation import gettext

from promotions.errors import Fault


def translate(fault: Fault) -> str:
    """Return the fault's sentence in the active language."""
    return fault.fill_in(gettext(fault.text))


def add_faults(form: BaseForm, faults: Iterable[Fault]) -> None:
    """Add each fault to the field that its pointer names, or to the form if it has no such field."""
    for fault in faults:
        name: Any = fault.pointer.split("/")[1]
        form.add_error(name if name in form.fields else None, ValidationError(translate(fault), code=fault.code))
