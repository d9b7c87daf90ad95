"""Figures of merit for two classes, 1 being pneumonia. The formulas are scikit-learn's."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

BETA = 2.0


def measure(truth: NDArray[Any], probability: NDArray[Any], threshold: float) -> dict[str, float]:
    """All figures at one threshold.

    Args:
        truth: ``(n,)`` of 0 and 1; both must occur for the areas to be defined.
        probability: ``(n,)`` probability of pneumonia.
        threshold: probability from which an image counts as pneumonia.

    Returns:
        accuracy, precision, recall (sensitivity), specificity, f1, f_beta (beta 2, which weighs recall higher),
        roc_auc and pr_auc (average precision), and the number of images ``n``. An area is NaN if a class is missing.
    """
    labelled = probability >= threshold
    has_both = len(np.unique(truth)) == 2
    return {
        "n": len(truth),
        "accuracy": float(sk.accuracy_score(truth, labelled)),
        "precision": float(sk.precision_score(truth, labelled, zero_division=0)),
        "recall": float(sk.recall_score(truth, labelled, zero_division=0)),
        "specificity": float(sk.recall_score(truth, labelled, pos_label=0, zero_division=0)),
        "f1": float(sk.f1_score(truth, labelled, zero_division=0)),
        "f_beta": float(sk.fbeta_score(truth, labelled, beta=BETA, zero_division=0)),
        "roc_auc": float(sk.roc_auc_score(truth, probability)) if has_both else float("nan"),
        "pr_auc": float(sk.average_precision_score(truth, probability)) if has_both else float("nan"),
    }


def confusion(truth: NDArray[Any], probability: NDArray[Any], threshold: float) -> dict[str, int]:
    """Count true and false negatives and positives."""
    tn, fp, fn, tp = sk.confusion_matrix(truth, probability >= threshold, labels=[0, 1]).ravel()
    return {"tn": int(tn), "fp": int(fp), "fn": int(fn), "tp": int(tp)}
