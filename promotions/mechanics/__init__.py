"""The mechanics: one package per kind of campaign, and one line per package here.

A package has `mechanic.py` with `MECHANIC`, an instance of a subclass of `promotions.services.mechanics.Mechanic`, and
`models.py` if it has tables. `promotions/apps.py` imports both at start. CONTRIBUTING.md lists the steps.
"""

PACKAGES = [
    "promotions.mechanics.coupon",
    "promotions.mechanics.instant_win",
]
