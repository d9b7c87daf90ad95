"""The pneumonia model: data, preprocessing, networks, training, evaluation and engines.

Importing this package, :mod:`ml.pictures.preprocess`, :mod:`ml.pictures.decode` or :mod:`ml.bundles.bundle` never
imports a deep-learning framework, so processes that only prepare images stay small. The package never imports Django.
"""
