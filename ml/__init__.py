"""The pneumonia model: data, preprocessing, networks, training, evaluation and engines.

Importing this package (or :mod:`ml.preprocess`, :mod:`ml.decode`, :mod:`ml.bundle`) never imports a deep-learning
framework, so that processes which only prepare images stay small. It never imports Django.
"""
