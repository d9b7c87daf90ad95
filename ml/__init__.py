"""The pneumonia model: data, preprocessing, networks, training, evaluation and engines.

Importing this package (or :mod:`ml.pictures.preprocess`, :mod:`ml.pictures.decode`, :mod:`ml.bundles.bundle`) never
imports a deep-learning framework, so that processes which only prepare images stay small. It never imports Django.
"""
