"""What every tiled job shares: events, device, failures, tiles, statistics."""
