"""What a microscope does, and how structure is measured; torch functions."""
