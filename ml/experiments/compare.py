"""Compare models on the same patients: released bundles, and networks that are trained for the comparison."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.dataset import data
from ml.experiments.trial import Trial
from ml.inference import engines
from ml.inference.benchmark import rates
from ml.inference.predict import load_input, probabilities
from ml.networks import architectures
from ml.statistics import bootstrap, metrics, paired
from ml.training import recipe

#: The batch size for measuring speed.
BATCH = 16


@dataclass(frozen=True)
class Entry:
    """A model in the comparison.

    Attributes:
        name: the model's name in the table.
        bundle: the bundle with its network.
        origin: a description of the origin of its weights.
        read: whether its figures are measured, which mean nothing for random weights.
    """

    name: str
    bundle: Bundle
    origin: str
    read: bool = True


def compare(
    models: Sequence[str],
    directory: Path,
    *,
    also: Sequence[Path] = (),
    weights: dict[str, Path] | None = None,
    work: Path | None = None,
    epochs: int | None = None,
    limit: int | None = None,
    held_out: bool = False,
    seconds: float = 5.0,
    json_file: Path | None = None,
) -> dict[str, Any]:
    """Train or load models, measure all on the same images, and compare each with the first.

    With a recipe among the models, only patients are used that all recipes held out, and all bundles that say whom they
    held out. No network is ever measured on patients that it was trained on here.

    Args:
        models: folders of bundles, names of recipes, or their TOML files.
        directory: a folder with ``NORMAL/`` and ``PNEUMONIA/``.
        also: folders of the same layout with more renditions.
        weights: the weights that recipes start from, by architecture.
        work: the folder in which recipes are trained, see :meth:`ml.experiments.trial.Trial.run`; needed for recipes.
        epochs: the largest number of epochs for recipes; 0 trains nothing and measures only size and speed.
        limit: the largest number of file names of each class.
        held_out: for bundles only: measure only patients that each bundle's own training held out.
        seconds: how long each model's speed is measured.
        json_file: a file for the comparison.

    Returns:
        ``models``, ``pairs`` (with the first: :func:`ml.statistics.paired.compare`), ``data``, ``speed``, ``notes``.

    Raises:
        BundleError: if a bundle cannot be used.
        FileNotFoundError: if a class has no images, or weights are missing.
        ImageError: if an image cannot be read.
        ValueError: for an unknown model, for weights that nothing uses, and if no patients are held out by all models.
    """
    weights = weights or {}
    chosen = [_chosen(model, epochs, limit) for model in models]
    _check(chosen, weights, work)
    samples = _limited([sample for folder in (directory, *also) for sample in data.scan(folder)], limit)
    notes: list[str] = []
    measured = _measured(chosen, samples, held_out, notes)
    entries = _entries(chosen, samples, weights, work)
    truth = np.array([sample.label for sample in measured])
    patients = np.array([sample.patient for sample in measured])
    loaded = [engines.load(entry.bundle.path, "keras") for entry in entries]
    rows: list[dict[str, Any]] = []
    readings: list[paired.Reading] = []
    for entry, engine in zip(entries, loaded, strict=True):
        reading = _read(entry, engine, measured) if entry.read else None
        rows.append(_row(entry, reading, truth, patients))
        if reading:
            readings.append(reading)
    for row, speed in zip(rows, _speeds(entries, loaded, seconds), strict=True):
        row["images_per_second"] = speed
    report = {
        "models": rows,
        "pairs": [paired.compare(truth, readings[0], other, patients) for other in readings[1:]],
        "data": {"files": len(measured), "patients": len(np.unique(patients)), "normal": int(np.sum(truth == 0)),
                 "pneumonia": int(np.sum(truth == 1)), "sha256": data.fingerprint(measured), "limit": limit},
        "speed": {"batch": BATCH, "device": loaded[0].device},
        "notes": notes,
    }  # fmt: skip
    if json_file:
        json_file.write_text(json.dumps(report, indent=2, default=float) + "\n")
    return report


def _chosen(model: str, epochs: int | None, limit: int | None) -> Bundle | Trial:
    """The bundle or recipe named by a MODEL argument.

    Raises:
        BundleError: for a folder that is no bundle.
        ValueError: if it is neither a bundle nor a recipe.
    """
    path, known = Path(model), recipe.names()
    if (path / "bundle.json").is_file() or (path.is_dir() and model not in known):
        return Bundle.read(path)
    if path.suffix != ".toml" and model not in known:
        raise ValueError(
            f"{model!r} is neither a bundle's folder nor a recipe; recipes: {', '.join(known)}, or a TOML file"
        )
    return Trial.load(model, epochs, limit)


def _check(chosen: list[Bundle | Trial], weights: dict[str, Path], work: Path | None) -> None:
    """Check the arguments before hours of training."""
    trials = [model for model in chosen if isinstance(model, Trial)]
    if trials and not work:
        raise ValueError("recipes are trained in a folder: give --work")
    names = [trial.name for trial in trials]
    if len(set(names)) < len(names):
        raise ValueError(f"a recipe is given twice: {', '.join(names)}")
    for name, path in weights.items():
        architectures.check(name)
        if all(trial.recipe.architecture != name for trial in trials):
            raise ValueError(f"weights are given for {name}, which no recipe here trains")
        if not path.is_file():
            raise FileNotFoundError(f"there are no weights at {path}")


def _limited(samples: list[data.Sample], limit: int | None) -> list[data.Sample]:
    """All renditions of ``limit`` file names per class, drawn with a fixed seed."""
    if limit is None:
        return samples
    chosen_names: set[tuple[int, str]] = set()
    for label in range(len(data.CLASSES)):
        names = sorted({sample.path.name for sample in samples if sample.label == label})
        chosen_names |= {(label, names[index]) for index in np.random.default_rng(0).permutation(len(names))[:limit]}
    return [sample for sample in samples if (sample.label, sample.path.name) in chosen_names]


def _measured(
    chosen: list[Bundle | Trial], samples: list[data.Sample], held_out: bool, notes: list[str]
) -> list[data.Sample]:
    """The samples that all models are measured on. Remarks for the reader of the figures are added to ``notes``."""
    split_needed = held_out or any(isinstance(model, Trial) for model in chosen)
    splits: dict[str, tuple[float, int, str]] = {}
    for model in chosen:
        if isinstance(model, Trial):
            splits[model.name] = (model.recipe.held_out, model.recipe.seed, model.recipe.patient_key)
        elif split_needed:
            recipe_used = model.meta.get("training", {}).get("recipe", {})
            if "held_out" in recipe_used and "seed" in recipe_used:
                key = recipe_used.get("patient_key", "number")
                splits[model.id] = (float(recipe_used["held_out"]), int(recipe_used["seed"]), key)
            else:
                _note(notes, f"{model.id} does not say which patients it held out: if it was trained on some of these, "
                             "its figures flatter.")  # fmt: skip
        elif data.fingerprint(samples) == model.meta.get("data", {}).get("sha256"):
            _note(notes, f"{model.id} was trained on some of these files, so its figures flatter; --held-out measures "
                         "only the patients that its training held out.")  # fmt: skip
    measured = samples
    for share, seed, key in set(splits.values()):
        measured = data.split(measured, share, seed, key)[1]
    if len({sample.label for sample in measured}) < len(data.CLASSES):
        raise ValueError(
            "the models have no held-out patients of both classes in common: give recipes the same seed, compare fewer "
            "models, or give more patients"
        )
    patients_of = "; ".join(
        f"{name} ({share:.0%} of patients, seed {seed})" for name, (share, seed, _) in splits.items()
    )
    _note(notes, f"Measured on {len(measured)} files of {len({sample.patient for sample in measured})} patients, " +
                 (f"whom each of these held out: {patients_of}." if splits else "all of the folder."))  # fmt: skip
    return measured


def _note(notes: list[str], text: str) -> None:
    notes.append(text)
    print(text, flush=True)


def _entries(
    chosen: list[Bundle | Trial], samples: list[data.Sample], weights: dict[str, Path], work: Path | None
) -> list[Entry]:
    """The models. Recipes are trained if necessary."""
    entries = []
    for model in chosen:
        if isinstance(model, Bundle):
            entries.append(Entry(model.id, model, "bundle"))
        else:
            bundle, origin = model.run(work or Path(), samples, weights.get(model.recipe.architecture))
            entries.append(Entry(model.name, bundle, origin, read=model.epochs != 0))
    if len({entry.name for entry in entries}) == len(entries):
        return entries
    # Bundles with the same name and version can only be told apart by their folders.
    return [Entry(str(entry.bundle.path), entry.bundle, entry.origin, entry.read) for entry in entries]


def _read(entry: Entry, engine: engines.Engine, samples: list[data.Sample]) -> paired.Reading:
    print(f"{entry.name} reads {len(samples)} files", flush=True)
    inputs = [load_input(sample.path, entry.bundle.preprocessing) for sample in samples]
    return paired.Reading(entry.name, probabilities(engine, inputs), entry.bundle.threshold)


def _row(entry: Entry, reading: paired.Reading | None, truth: NDArray[Any], patients: NDArray[Any]) -> dict[str, Any]:
    probability = reading.probability if reading else None
    meta = entry.bundle.meta
    return {
        "name": entry.name,
        "architecture": entry.bundle.architecture,
        "parameters": meta.get("parameters"),
        "size": entry.bundle.preprocessing.size,
        "origin": entry.origin,
        "threshold": entry.bundle.threshold,
        "metrics": None if probability is None else metrics.measure(truth, probability, entry.bundle.threshold),
        "intervals": None
        if probability is None
        else bootstrap.intervals(truth, probability, entry.bundle.threshold, patients),
        "cost": meta.get("training", {}).get("cost"),
        "weights_sha256": entry.bundle.weights_sha256,
    }


def _speeds(entries: list[Entry], loaded: list[engines.Engine], seconds: float) -> list[float]:
    """Images per second of each engine, in batches of 16, measured directly one after another for equal conditions."""
    for engine in loaded:
        engine.warm_up(BATCH)
    rng = np.random.default_rng(0)
    batches = [
        rng.integers(0, 256, (BATCH, *[entry.bundle.preprocessing.size] * 2), dtype=np.uint8) for entry in entries
    ]
    return [rates((engine.predict,), batch, seconds)[0] for engine, batch in zip(loaded, batches, strict=True)]
