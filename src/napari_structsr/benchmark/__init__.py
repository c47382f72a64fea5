"""The public comparison: methods, data, tables."""
