"""Pure functions and frozen values: no Django, no I/O, no clock."""
