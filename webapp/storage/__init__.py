"""Storage backends for uploaded files: a folder, or an S3-compatible store."""
