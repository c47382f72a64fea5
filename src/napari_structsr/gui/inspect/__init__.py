"""The Structure error dock."""
