"""HTTP: one package per audience."""
