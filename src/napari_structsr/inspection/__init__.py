"""Maps and scores of structure error of a stack of any size."""
