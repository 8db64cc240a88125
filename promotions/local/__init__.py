"""Set-up and local processes. Standard library only: it runs before any virtualenv exists, and never imports Django."""
