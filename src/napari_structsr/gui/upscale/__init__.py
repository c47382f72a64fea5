"""The Upscale dock."""
