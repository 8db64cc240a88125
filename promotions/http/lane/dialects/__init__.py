"""Stock phone apps: one pure parser per dialect, from bytes to fixes in our units."""
