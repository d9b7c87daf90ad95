"""A result as a measurement report (TID 1500), as IHE's profile "AI Results" has them."""

from collections.abc import Sequence
from uuid import NAMESPACE_DNS, uuid5

from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from webapp.dicom.models import Revision
from webapp.dicom.results import REPORT, uid
from webapp.studies.choices import PneumoniaKind, ResultGroup, Verdict, WarningCode
from worker.deliver.dicom.source import MANUFACTURER, NOT_FOR_DIAGNOSIS, finish, place, reference

#: SNOMED CT's own code; none of PS3.16's context groups has a pneumonia.
PNEUMONIA = Code("233604007", "SCT", "Pneumonia")
#: What each group says of the pneumonia's presence.
PRESENCE = {
    ResultGroup.POSITIVE: codes.DCM.Present,
    ResultGroup.UNCLEAR: codes.DCM.PresenceUndetermined,
    ResultGroup.NEGATIVE: codes.DCM.Absent,
    ResultGroup.UNUSABLE: codes.SCT.NotEvaluated,
}
#: DICOM objects are read by other systems and in other places: they are in English, as their codes are.
GROUPS = {
    ResultGroup.POSITIVE: "Signs of pneumonia",
    ResultGroup.UNCLEAR: "Unclear",
    ResultGroup.NEGATIVE: "No signs of pneumonia found",
    ResultGroup.UNUSABLE: "Not usable: the image is probably no chest X-ray that the model can read",
}
VERDICTS = {
    Verdict.PNEUMONIA: "Pneumonia",
    Verdict.NORMAL: "Normal",
    Verdict.UNUSABLE: "Not usable",
    Verdict.UNSURE: "Not sure",
}
KINDS = {PneumoniaKind.BACTERIAL: "bacterial", PneumoniaKind.VIRAL: "viral"}
WARNINGS = {
    WarningCode.NOT_CHEST_XRAY: "looks like no chest X-ray",
    WarningCode.CHEST_TURNED: "turned or inverted",
    WarningCode.CHEST_FROM_THE_SIDE: "looks like a chest from the side",
    WarningCode.PHOTOGRAPH_OF_FILM: "photograph of a film",
    WarningCode.AGE_OUTSIDE_TRAINING: "the age is outside of one to five",
    WarningCode.VIEW_NOT_FRONTAL: "not a frontal view",
    WarningCode.BORDERS_REMOVED: "borders cut off",
    WarningCode.EVIDENCE_OUTSIDE_LUNGS: "the score rests on what is outside of the lungs",
    WarningCode.MAP_OUTSIDE_CHEST: "the score rests on what is outside of the chest",
    WarningCode.METADATA_IGNORED: "metadata is damaged",
    WarningCode.END_MISSING: "the file's end is missing",
}
PURPOSE = (
    f"{NOT_FOR_DIAGNOSIS}. A research tool that supports trained staff; no medical device. The model learnt from "
    "frontal chest X-rays of children aged one to five. A result without signs of pneumonia does not rule it out."
)


def make(source: Dataset, revision: Revision, predecessor: Revision | None = None) -> sr.Comprehensive3DSR:
    """The report of a revision.

    Args:
        source: the image's data set, of :func:`worker.deliver.dicom.source.read`.
        revision: what is to be told.
        predecessor: the revision that it supersedes.
    """
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer(revision)),
        procedure_reported=codes.SCT.PlainRadiography,
        imaging_measurements=[_finding(source, revision)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    made = sr.Comprehensive3DSR(
        evidence=[source],
        content=content,
        is_complete=True,
        previous_versions=[reference(source, predecessor, REPORT)] if predecessor else None,
        **place(revision, REPORT),
    )
    finish(made, revision, REPORT)
    return made


def observer(revision: Revision) -> sr.ObserverContext:
    """Who says it: this program with its model, wherever it runs."""
    return sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=f"2.25.{uuid5(NAMESPACE_DNS, f'{MANUFACTURER} {revision.bundle}').int}",
            name=MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=revision.bundle,
        ),
    )


def _finding(source: Dataset, revision: Revision) -> sr.MeasurementsAndQualitativeEvaluations:
    by_model = not revision.verdict
    measured = []
    if by_model and revision.told_group != ResultGroup.UNUSABLE and revision.probability is not None:
        measured = [sr.Measurement(codes.DCM.CertaintyOfFinding, percent(revision), codes.UCUM.Percent)]
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid(revision, "finding"), identifier="PneumoQueue pneumonia"),
        finding_type=PNEUMONIA,
        # What a reader says was found by no algorithm.
        algorithm_id=_algorithm(revision) if by_model else None,
        measurements=measured,
        qualitative_evaluations=[
            sr.QualitativeEvaluation(codes.DCM.PresenceOfProperty, PRESENCE[ResultGroup(revision.told_group)])
        ],
        source_images=[sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
    )
    for text in comments(revision):
        item = sr.TextContentItem(codes.DCM.Comment, text, sr.RelationshipTypeValues.CONTAINS)
        group[0].ContentSequence.append(item)
    return group


def _algorithm(revision: Revision) -> sr.AlgorithmIdentification:
    name, _, version = revision.bundle.rpartition("-")
    parameters = []
    if revision.operating_point:
        parameters.append(f"operating point: {revision.operating_point}")
    if revision.threshold is not None:
        parameters.append(f"threshold: {100 * revision.threshold:.4g} %")
    return sr.AlgorithmIdentification(name or revision.bundle, version, parameters or None, manufacturer=MANUFACTURER)


def percent(revision: Revision) -> float:
    """The model's probability in percent, as the report measures it."""
    return round(100 * (revision.probability or 0.0), 2)


def comments(revision: Revision) -> Sequence[str]:
    """What the report says in words."""
    by_model = GROUPS[ResultGroup(revision.group)]
    if revision.group != ResultGroup.UNUSABLE and revision.probability is not None:
        by_model += f", probability {percent(revision):g} %"
    if revision.verdict:
        said = VERDICTS[Verdict(revision.verdict)]
        if revision.verdict_kind:
            said += f", {KINDS[PneumoniaKind(revision.verdict_kind)]}"
        texts = [f"A reader's verdict: {said}. It overrules the model's result, which was: {by_model}."]
    else:
        texts = [f"The model's result: {by_model}."]
    warned = [WARNINGS[WarningCode(code)] for code in revision.warnings if code in WarningCode.values]
    if warned:
        texts.append(f"Beware: {'; '.join(warned)}.")
    return [*texts, PURPOSE]
