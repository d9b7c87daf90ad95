"""The command line. The code of each command is in a separate module, imported only when the command runs."""

import argparse
import json
import os
import sys
from pathlib import Path

from ml.dataset import data
from ml.errors import BundleError, EngineError, ExportError, ImageError
from ml.evaluation import elsewhere_commands, pictures_commands
from ml.experiments import experiment_commands
from ml.pictures import deidentify_command
from ml.training import commands as training_commands
from ml.training import recipe as recipes

#: Packages of requirements/training.in. The service reads images without them.
FOR_TRAINING = ("keras", "tensorflow", "matplotlib", "pytesseract", "scipy", "sklearn")


def main(argv: list[str] | None = None) -> int:
    # TensorFlow's start-up messages would hide a command's own output.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except (BundleError, EngineError, ExportError, ImageError, FileExistsError, FileNotFoundError, ValueError) as error:
        print(f"ml: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in FOR_TRAINING:
            raise
        print(f"ml: this command needs {error.name}; `make training` installs it", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m ml", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a network and write its bundle")
    train.add_argument("--recipe", default=recipes.DEFAULT, help="a name (see ml/training/recipes), or a TOML file")
    train.add_argument("--data", type=Path, required=True, help="holds NORMAL/ and PNEUMONIA/")
    train.add_argument("--also", type=Path, action="append", default=[], help="more renditions, same layout")
    train.add_argument("--extra", type=Path, help="radiologists' verdicts: a CSV of file, verdict, patient")
    train.add_argument("--external", type=Path, help="other hospitals' chests, with an index.csv")
    train.add_argument("--weights", type=Path, help="ImageNet weights of the base (Keras' notop file)")
    train.add_argument("--output", type=Path, help="the bundle's folder; without it no bundle is made")
    train.add_argument("--work", type=Path, required=True, help="checkpoints and logs; a run resumes from them")
    train.add_argument("--name", default="vgg16-pneumonia")
    train.add_argument("--version", default="1.0.0")
    train.add_argument("--fold", default="patients", choices=data.FOLDS, help="which patients are held out")
    train.add_argument("--precision", choices=("mixed_bfloat16", "float32"))
    train.add_argument("--seed", type=int)
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="measure a bundle on a folder of X-rays")
    evaluate.add_argument("--model", type=Path, required=True, help="the bundle")
    evaluate.add_argument("--data", type=Path, required=True, help="holds NORMAL/ and PNEUMONIA/")
    evaluate.add_argument("--json", type=Path, help="write the figures here")
    evaluate.add_argument("--figures", type=Path, help="folder for the curves and the confusion matrix")
    evaluate.set_defaults(run=_evaluate)

    calibrate = commands.add_parser("calibrate", help="choose a bundle's calibration and thresholds on other images")
    calibrate.add_argument("--model", type=Path, required=True, help="the bundle")
    calibrate.add_argument("--data", type=Path, required=True, help="holds NORMAL/ and PNEUMONIA/, of new patients")
    calibrate.add_argument("--also", type=Path, action="append", default=[], help="more renditions, same layout")
    calibrate.add_argument("--held-out", action="store_true",
                           help="use only patients whom the bundle's own training held out")  # fmt: skip
    calibrate.add_argument("--output", type=Path, required=True, help="the new bundle's folder")
    calibrate.add_argument("--version", required=True, help="of the new bundle")
    calibrate.set_defaults(run=_calibrate)

    adapt = commands.add_parser("adapt", help="adapt a bundle's last layer to a place's images, if that is better")
    adapt.add_argument("--model", type=Path, required=True, help="the bundle")
    images = adapt.add_mutually_exclusive_group(required=True)
    images.add_argument("--data", type=Path, help="holds NORMAL/ and PNEUMONIA/, of new patients")
    images.add_argument("--verdicts", type=Path, help="radiologists' verdicts: a CSV of file, verdict, patient")
    adapt.add_argument("--also", type=Path, action="append", default=[], help="more renditions, same layout")
    adapt.add_argument("--output", type=Path, required=True, help="the new bundle's folder")
    adapt.add_argument("--name", default="", help="of the new bundle; else the old one's with -adapted")
    adapt.add_argument("--version", required=True, help="of the new bundle")
    adapt.set_defaults(run=_adapt)

    predict = commands.add_parser("predict", help="read X-rays with a bundle")
    predict.add_argument("--model", type=Path, required=True, help="the bundle")
    predict.add_argument("--json", type=Path, help="write the results here")
    predict.add_argument("--heatmaps", type=Path, help="folder for maps of what each reading rests on (PNG with alpha)")
    predict.add_argument("files", type=Path, nargs="+", metavar="FILE")
    predict.set_defaults(run=_predict)

    inputs = commands.add_parser("inputs", help="write into a bundle what its training X-rays look like")
    inputs.add_argument("--model", type=Path, required=True, help="the bundle")
    inputs.add_argument("--data", type=Path, required=True, help="its training data: NORMAL/ and PNEUMONIA/")
    inputs.add_argument("--also", type=Path, action="append", default=[], help="more renditions, same layout")
    inputs.set_defaults(run=_inputs)

    training_commands.add(commands)
    pictures_commands.add(commands)
    elsewhere_commands.add(commands)
    deidentify_command.add(commands)
    experiment_commands.add(commands)

    export = commands.add_parser("export", help="write a bundle's network for other runtimes")
    export.add_argument("--model", type=Path, required=True, help="the bundle")
    export.add_argument("--output", type=Path, required=True, help="a new folder")
    export.add_argument("--format", default="tf_saved_model",
                        help="or litert, onnx, openvino; the last two need packages of that name")  # fmt: skip
    export.set_defaults(run=_export)

    quantize = commands.add_parser("quantize", help="have a bundle read in 8-bit integers where that is faster")
    quantize.add_argument("--model", type=Path, required=True, help="the bundle")
    quantize.add_argument("--data", type=Path, required=True, help="its training data: NORMAL/ and PNEUMONIA/")
    quantize.add_argument("--also", type=Path, action="append", default=[], help="more renditions, same layout")
    quantize.add_argument("--files", type=Path, help="originals to compare the answers on, too")
    quantize.set_defaults(run=_quantize)

    benchmark = commands.add_parser("benchmark", help="measure how many images a second engines read")
    benchmark.add_argument("--model", type=Path, required=True, help="the bundle")
    benchmark.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16], help="images in a batch")
    benchmark.add_argument("--engine", nargs="+", default=["auto"], metavar="NAME",
                           help="keras, mnn, openvino; the first is what the others are compared with")  # fmt: skip
    benchmark.add_argument("--precision", nargs="+", default=["float32"], choices=("float32", "bfloat16", "float16"),
                           help="of keras; several are measured beside each other")  # fmt: skip
    benchmark.add_argument("--seconds", type=float, default=10.0, help="for each engine and size of batch")
    benchmark.add_argument("--files", type=Path, help="X-rays to read from the disk as well, and to compare answers on")
    benchmark.add_argument("--json", type=Path, help="write the figures here")
    benchmark.set_defaults(run=_benchmark)
    return top


def _train(arguments: argparse.Namespace) -> None:
    from dataclasses import replace

    from ml.dataset import external, extra
    from ml.experiments import folds, folds_figures
    from ml.experiments.cost import Cost
    from ml.training.average import training
    from ml.training.release import Judged, add_check, release

    arguments.work.mkdir(parents=True, exist_ok=True)
    cost = Cost(arguments.work / "cost.json")
    overrides = {key: value for key in ("precision", "seed") if (value := getattr(arguments, key)) is not None}
    samples = [sample for folder in (arguments.data, *arguments.also) for sample in data.scan(folder)]
    reviewed = extra.read(arguments.extra) if arguments.extra else []
    recipe = replace(recipes.load(arguments.recipe), **overrides)
    chests = external.read(arguments.external) if arguments.external else []
    external_fold = recipe.seed % external.FOLDS if arguments.fold == "blocks" else None
    learned, remaining = external.split(chests, external_fold, external.SEED)
    run = training(recipe, arguments.work, samples, fold=arguments.fold, extra=reviewed, chests=learned)
    run.after_epoch = cost.keep
    run.fit(arguments.weights)
    spent = cost.keep()
    if arguments.fold == "blocks":
        measured = folds.measure(run.model(), run.held_out, samples, remaining, recipe, arguments.work)
        print(folds_figures.text([measured]))
    if not arguments.output:
        report = Judged(run.model(), run.held_out, run.recipe).report
        (arguments.work / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        print(f"wrote {arguments.work / 'report.json'}")
        return
    used = [*samples, *reviewed, *(chest.sample for chest in learned if recipe.external)]
    bundle = release(
        run, arguments.output, name=arguments.name, version=arguments.version, samples=used,
        weights=arguments.weights, cost=spent,
    )  # fmt: skip
    bundle = add_check(bundle, run, arguments.data, arguments.also)
    print(f"wrote {bundle.path}: threshold {bundle.threshold:g}")


def _calibrate(arguments: argparse.Namespace) -> None:
    from ml.bundles.bundle import Bundle
    from ml.training.release import recalibrate

    bundle = Bundle.read(arguments.model)
    samples = [sample for folder in (arguments.data, *arguments.also) for sample in data.scan(folder)]
    if arguments.held_out:
        samples = data.split_as(bundle.meta["training"]["recipe"], samples)[1]
    calibrated = recalibrate(bundle, samples, arguments.output, arguments.version)
    print(f"wrote {calibrated.path}: threshold {calibrated.threshold:g}")


def _adapt(arguments: argparse.Namespace) -> None:
    from ml.bundles.bundle import Bundle
    from ml.dataset import extra
    from ml.training.adapt import adapt

    folders = [folder for folder in (arguments.data, *arguments.also) if folder]
    samples = [sample for folder in folders for sample in data.scan(folder)]
    samples += extra.read(arguments.verdicts) if arguments.verdicts else []
    source, release = Bundle.read(arguments.model), {"name": arguments.name, "version": arguments.version}
    adapted = adapt(source, samples, arguments.output, **release)
    if adapted:
        print(f"wrote {adapted.path}: threshold {adapted.threshold:g}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from ml.evaluation.evaluate import evaluate

    evaluate(arguments.model, arguments.data, json_file=arguments.json, figures=arguments.figures)


def _predict(arguments: argparse.Namespace) -> int:
    from ml.inference.predict import predict

    return predict(arguments.model, arguments.files, json_file=arguments.json, heatmaps=arguments.heatmaps)


def _inputs(arguments: argparse.Namespace) -> None:
    from ml.evaluation import inputs

    bundle = inputs.write(arguments.model, arguments.data, arguments.also)
    print(json.dumps(bundle.meta["inputs"]))


def _export(arguments: argparse.Namespace) -> None:
    from ml.bundles.bundle import Bundle
    from ml.bundles.export import export

    print(f"wrote {export(Bundle.read(arguments.model), arguments.output, arguments.format)}")


def _quantize(arguments: argparse.Namespace) -> None:
    from ml.evaluation import quantization

    files = sorted(file for file in arguments.files.rglob("*") if file.is_file()) if arguments.files else []
    figures = quantization.write(arguments.model, arguments.data, arguments.also, files)
    print(json.dumps(figures, indent=2))


def _benchmark(arguments: argparse.Namespace) -> None:
    from ml.inference.benchmark import benchmark

    files = sorted(file for file in arguments.files.rglob("*") if file.is_file()) if arguments.files else []
    benchmark(
        arguments.model, arguments.batch, names=arguments.engine, precisions=arguments.precision,
        seconds=arguments.seconds, files=files, json_file=arguments.json,
    )  # fmt: skip
