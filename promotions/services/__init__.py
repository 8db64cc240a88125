"""The only access to the rows: functions, one noun per file."""
