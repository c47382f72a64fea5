"""What all docks share of the viewer: jobs, layers, navigation."""
