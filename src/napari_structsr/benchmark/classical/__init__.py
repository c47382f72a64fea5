"""Methods without a network, which are told the truth of blur and noise."""
