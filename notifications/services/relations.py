"""The relation that SQL of other apps may join, with the columns it may read. PostgreSQL inlines it into the query.

Only these columns are stable. `tests/architecture/test_doors.py` rejects table names of this app elsewhere.
"""

MESSAGES = """
    (SELECT dedupe_key, device_id, state, reason, created_at, settled_at FROM notifications_message)
"""
