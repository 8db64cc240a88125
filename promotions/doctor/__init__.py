"""`manage.py doctor`: checks each part of a deployment within a time limit; `logic.diagnosis` explains the answers."""
