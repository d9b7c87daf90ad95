"""Released models: folders of weights, figures and a description."""
