"""Settings an operator may give: forms of values, the registry of all settings, and how they are read and checked."""

from promotions.conf.reading import (
    envbool,
    envfloat,
    envint,
    envlist,
    envlistener,
    envmap,
    envtext,
    find_faults,
    find_misspelt,
    is_given,
    list_tolerated,
    refuse_faulty_settings,
    require_sound_settings,
    tolerate_faults,
)
from promotions.conf.registry import SETTINGS
from promotions.conf.setting import Setting

__all__ = [
    "SETTINGS",
    "Setting",
    "envbool",
    "envfloat",
    "envint",
    "envlist",
    "envlistener",
    "envmap",
    "envtext",
    "find_faults",
    "find_misspelt",
    "is_given",
    "list_tolerated",
    "refuse_faulty_settings",
    "require_sound_settings",
    "tolerate_faults",
]
