"""Tests of the deployment kit in `deploy/`. `check_*` need nginx, Caddy and systemd: `make deploy-kit` runs them."""
