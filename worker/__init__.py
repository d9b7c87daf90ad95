"""The workers: they prepare images, read them in batches with the model, and save the results."""
