"""Networks of others, to compare with and to run."""
