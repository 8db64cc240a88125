"""What a campaign's report shows."""
