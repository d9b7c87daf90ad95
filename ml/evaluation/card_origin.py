"""The section of a model card about a bundle's origin, from ``bundle.json``."""

from typing import Any

from ml.evaluation.assess import EVERYTHING

DATA = """\
Kermany et al., *Identifying Medical Diagnoses and Treatable Diseases by Image-Based Deep Learning*, Cell 2018 (Mendeley
Data, CC BY 4.0): chest X-rays of children aged one to five from one hospital (Guangzhou Women and Children's Medical
Center). Only its training split; the test split was not looked at. SHA-256 over all {files:,} files (renditions of the
same image at several sizes count each): `{sha}…`, in full in `bundle.json`."""


def text(meta: dict[str, Any]) -> list[str]:
    """The data and the training or, for a calibrated or adapted bundle, the images used for that."""
    if "calibrated_on" in meta:
        source = meta["calibrated_on"]
        return [
            "## Where it comes from",
            f"The network is that of `{meta['calibrated_from']}`; see its card for its data and training. Calibration, "
            f"operating points and all figures below come from {source['files']:,} files of "
            f"{source['patients']:,} patients (SHA-256 `{source['sha256'][:16]}…`).",
        ]
    if "adapted_on" in meta:
        return ["## Where it comes from", _adapted(meta)]
    training, recipe = meta["training"], meta["training"]["recipe"]
    return [
        "## Data",
        DATA.format(files=meta["data"]["files"], sha=meta["data"]["sha256"][:16]),
        f"Patients are told apart by file name. {training['held_out_patients']} patients were held out, chosen by a "
        f"hash of their identifier; {training['images']} images of the other {training['patients']} were trained on.",
        *_external(training.get("external", {})),
        "## How it was trained",
        f"`python -m ml train --recipe {recipe['name']} --seed {recipe['seed']}`, as `docs/model.md` describes.",
        _epochs(training),
        _cost(training["cost"]),
    ]


def _external(sources: dict[str, int]) -> list[str]:
    if not sources:
        return []
    counts = ", ".join(f"{count} of {name}" for name, count in sorted(sources.items()))
    return [
        f"It also learnt from frontal chests of other hospitals, nearly all of adults: {counts}. They are open data, "
        "used with thanks to those who gave them: NIH Clinical Center (Wang et al. 2017), Hannover Medical School (CC "
        "BY 3.0), the National Library of Medicine (Jaeger et al. 2014), the compilers of COVID-CXNet (CC BY 4.0) and "
        "of the COVID-19 image data collection (CC BY)."
    ]


def _adapted(meta: dict[str, Any]) -> str:
    source = meta["adapted_on"]
    changes = [
        "{} {:+.3f} ({:+.3f} to {:+.3f})".format(
            heading, source["differences"][key]["value"], *source["differences"][key]["interval"]
        )
        for key, heading in (("roc_auc", "ROC AUC"), ("brier", "Brier score"))
    ]
    return (
        f"**Adapted to one place.** The network is that of `{meta['adapted_from']}` but for its last layer, which was "
        f"adapted to {source['files']:,} files of {source['patients']:,} patients "
        f"(SHA-256 `{source['sha256'][:16]}…`) of the "
        f"place where it is used. The figures of `{meta['adapted_from']}` do not hold for it, also not in the hospital "
        "that it learnt from. All figures below are of these patients, each read by a layer that was adapted to others "
        f"of them. What adapting changed, beside calibration alone: {'; '.join(changes)} (95 % intervals)."
    )


def _epochs(training: dict[str, Any]) -> str:
    lines = ["| epoch | size | loss | accuracy | worst held-out loss | seconds |", "|---|---|---|---|---|---|"]
    for row in training["epochs"]:
        worst = "–" if row["val_worst"] is None else f"{row['val_worst']:.3f}"
        lines.append(
            f"| {_member(row)}{row['epoch'] + 1:.0f} | {row['size']:.0f} | {row['loss']:.3f} "
            f"| {row['binary_accuracy']:.3f} | {worst} | {row['seconds']:.0f} |"
        )
    members = training.get("members", {})
    recipes = [member["recipe"] for member in members.values()] or [training["recipe"]]
    kept = " or ".join(
        sorted(
            {"the epoch with the lowest of these" if each["keep"] == "best" else "the last epoch" for each in recipes}
        )
    )
    text = "\n".join(lines) + "\n\nThe worst held-out loss is judged in the last stage; "
    if not members:
        return text + f"{kept} is released."
    each = "; ".join(f"{name} {member['roc_auc'][EVERYTHING]:.4f}" for name, member in members.items())
    return text + (
        f"of each member {kept} is kept, and the mean of their weights is released. The ROC AUC of the members' own "
        f"networks over all held-out images, as they are and changed: {each}."
    )


def _member(row: dict[str, Any]) -> str:
    return f"{row['member']}, " if "member" in row else ""


def _cost(cost: dict[str, Any]) -> str:
    if not cost:
        return ""
    energy = cost.get("kilojoules")
    return (
        f"It took {cost['seconds']:,} s and {cost['processor_seconds']:,} processor seconds ({cost['machine']}). "
        + (f"The processor used {energy:,} kJ." if energy else "The machine does not tell how much energy it used.")
    )
