"""Pages for people: the report of an inspection, and the index of several."""
