"""Before, during and after the runs of the Upscale dock."""
