"""Images and results at addresses: http, s3, and whatever else fsspec knows."""
