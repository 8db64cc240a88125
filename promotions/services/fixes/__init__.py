"""What becomes of a batch of fixes: acceptance, facts, opportunities, deliveries, dead letters."""
