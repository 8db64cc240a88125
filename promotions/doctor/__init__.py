"""`manage.py doctor`: asks each part of a deployment within a time limit; `logic.diagnosis` says what answers mean."""
