"""Kinds of files, how they are told apart, and readers of those of instruments."""
