"""From a measured stack to an upscaled one, tile by tile."""
