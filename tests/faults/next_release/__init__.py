"""The release after this one, as far as a test needs it: the same code on a schema that was expanded."""
