"""The audit of changes to configuration and rights: its triggers, its rows, and how they are shown."""
