"""Released models: folders with weights, figures and a description."""
