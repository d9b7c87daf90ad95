"""Compare models on the same patients: released bundles, and networks that are trained for it."""

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

#: Images in a batch when speed is measured.
BATCH = 16


@dataclass(frozen=True)
class Entry:
    """A model in the comparison.

    Attributes:
        name: in the table.
        bundle: its network.
        origin: where its weights come from, in words.
        read: whether its figures are measured; those of random weights would mean nothing.
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
    """Train or load models, measure all on the same images and compare each with the first.

    With a recipe among the models only patients are measured that every recipe holds out, and every bundle that says
    which it held out; no network is ever measured on patients that it was trained on here.

    Args:
        models: folders of bundles, names of recipes, or their TOML files.
        directory: holds ``NORMAL/`` and ``PNEUMONIA/``.
        also: folders of the same layout with more renditions.
        weights: that recipes start from, by architecture.
        work: where recipes are trained, see :meth:`ml.experiments.trial.Trial.run`; needed where there is one.
        epochs: train recipes for so many at most; 0 trains nothing and measures only size and speed.
        limit: use so many file names of each class at most.
        held_out: with bundles only: measure only patients that each bundle's own training held out.
        seconds: how long each model's speed is measured.
        json_file: where the comparison goes.

    Returns:
        ``models`` (a row for each), ``pairs`` (:func:`ml.statistics.paired.compare` of each with the first), ``data``,
        ``speed`` and ``notes``.

    Raises:
        BundleError: where a bundle cannot be used.
        FileNotFoundError: where a class has no images, or weights are missing.
        ImageError: where an image cannot be read.
        ValueError: for what is no model, for weights that nothing uses, and where no patients are held out by all.
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
    """The bundle or recipe that a MODEL argument names.

    Raises:
        BundleError: for a folder that is no bundle.
        ValueError: for what is neither a bundle nor a recipe.
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
    """Check the arguments now, not after hours of training."""
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
    """All renditions of ``limit`` file names of each class, drawn with a fixed seed."""
    if limit is None:
        return samples
    kept: set[tuple[int, str]] = set()
    for label in range(len(data.CLASSES)):
        names = sorted({sample.path.name for sample in samples if sample.label == label})
        kept |= {(label, names[index]) for index in np.random.default_rng(0).permutation(len(names))[:limit]}
    return [sample for sample in samples if (sample.label, sample.path.name) in kept]


def _measured(
    chosen: list[Bundle | Trial], samples: list[data.Sample], held_out: bool, notes: list[str]
) -> list[data.Sample]:
    """The samples that all models are measured on. ``notes`` describes them for the reader of the figures."""
    apart = held_out or any(isinstance(model, Trial) for model in chosen)
    splits: dict[str, tuple[float, int, str]] = {}
    for model in chosen:
        if isinstance(model, Trial):
            splits[model.name] = (model.recipe.held_out, model.recipe.seed, model.recipe.patient_key)
        elif apart:
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
    """The models, trained where they have to be."""
    entries = []
    for model in chosen:
        if isinstance(model, Bundle):
            entries.append(Entry(model.id, model, "bundle"))
        else:
            made, origin = model.run(work or Path(), samples, weights.get(model.recipe.architecture))
            entries.append(Entry(model.name, made, origin, read=model.epochs != 0))
    if len({entry.name for entry in entries}) == len(entries):
        return entries
    # Two bundles of one name and version differ only by their folders.
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
    """Images a second of each, in batches of 16, one right after the other so that all meet the machine alike."""
    for engine in loaded:
        engine.warm_up(BATCH)
    rng = np.random.default_rng(0)
    batches = [
        rng.integers(0, 256, (BATCH, *[entry.bundle.preprocessing.size] * 2), dtype=np.uint8) for entry in entries
    ]
    return [rates((engine.predict,), batch, seconds)[0] for engine, batch in zip(loaded, batches, strict=True)]
