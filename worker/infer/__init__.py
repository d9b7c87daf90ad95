"""Read prepared images in adaptive batches."""
