"""The only doors to the rows: functions, one noun per file."""
