"""Relations that SQL of other apps may join, with the columns it may read. PostgreSQL inlines them into the query.

Only these columns are stable. `tests/architecture/test_doors.py` rejects table names of this app elsewhere.
"""

STORES = """
    (SELECT id, uuid, partner_id, name, timezone, opening_hours, location, latitude_deg, longitude_deg, is_active
     FROM geofence_store)
"""
VISITS = """
    (SELECT id, device_id, store_id, entered_at, last_inside_at, confirmed_at, confirmed_by, exited_at
     FROM geofence_visit)
"""
