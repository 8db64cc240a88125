"""Instants as staff read them where no store says the zone."""

DATETIME_FORMAT = "Y-m-d H:i T"
