"""Run a bundle: engines, predictions, the out-of-domain check, benchmarks."""
