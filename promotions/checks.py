"""Start-up checks: what a deployment must not run with."""
