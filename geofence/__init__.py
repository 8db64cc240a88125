"""WHERE: stores, their fences, presence and visits. Knows nothing of offers or messages."""
