"""Networks and the cards that travel with them; no files, axes or devices."""
