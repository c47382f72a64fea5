"""Small widgets that several docks need."""
