"""The only access of other apps to `geofence`: keyword-only functions, one noun per file."""
