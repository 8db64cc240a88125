"""The only door to the geofence app for others: functions, keyword-only, one noun per file."""
