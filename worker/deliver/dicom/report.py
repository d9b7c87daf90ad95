"""A result as a measurement report (TID 1500), according to IHE's profile "AI Results"."""

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

#: The code from SNOMED CT itself, since no context group of PS3.16 contains pneumonia.
PNEUMONIA = Code("233604007", "SCT", "Pneumonia")
#: The presence of pneumonia according to each group that is the answer.
PRESENCE = {
    ResultGroup.POSITIVE: codes.DCM.Present,
    ResultGroup.UNCLEAR: codes.DCM.PresenceUndetermined,
    ResultGroup.NEGATIVE: codes.DCM.Absent,
    ResultGroup.UNUSABLE: codes.SCT.NotEvaluated,
}
#: The texts are in English, like the codes, because other systems and other places read these objects.
GROUPS = {
    ResultGroup.POSITIVE: "Signs of pneumonia",
    ResultGroup.UNCLEAR: "Unclear",
    ResultGroup.NEGATIVE: "No signs of pneumonia found",
    ResultGroup.UNUSABLE: "No answer: the image is not usable, or the model learnt from other ages and views",
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
    WarningCode.NOT_FRONTAL_CHEST: "not a frontal chest by its file",
    WarningCode.INSTANCE_SENT_BEFORE: "sent before",
    WarningCode.FOR_PROCESSING: "raw data of the detector",
    WarningCode.BIRTH_DATE_DIFFERS: "another date of birth in the file",
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
    """Make the report of a revision.

    Args:
        source: the image's data set, from :func:`worker.deliver.dicom.source.read`.
        revision: the revision to report.
        predecessor: the revision that it supersedes.
    """
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer(revision)),
        procedure_reported=codes.SCT.PlainRadiography,
        imaging_measurements=[_finding(source, revision)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    document = sr.Comprehensive3DSR(
        evidence=[source],
        content=content,
        is_complete=True,
        previous_versions=[reference(source, predecessor, REPORT)] if predecessor else None,
        **place(revision, REPORT),
    )
    finish(document, revision, REPORT)
    return document


def observer(revision: Revision) -> sr.ObserverContext:
    """The observer: this program with its model. It is the same in every installation."""
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
    measurements = []
    if by_model and revision.is_reliable and revision.probability is not None:
        measurements = [sr.Measurement(codes.DCM.CertaintyOfFinding, percent(revision), codes.UCUM.Percent)]
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid(revision, "finding"), identifier="PneumoQueue pneumonia"),
        finding_type=PNEUMONIA,
        # A reader's verdict comes from no algorithm.
        algorithm_id=_algorithm(revision) if by_model else None,
        measurements=measurements,
        qualitative_evaluations=[sr.QualitativeEvaluation(codes.DCM.PresenceOfProperty, _presence(revision))],
        source_images=[sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)],
    )
    for text in comments(revision):
        item = sr.TextContentItem(codes.DCM.Comment, text, sr.RelationshipTypeValues.CONTAINS)
        group[0].ContentSequence.append(item)
    return group


def _presence(revision: Revision) -> Code:
    group = ResultGroup(revision.told_group)
    if not revision.verdict and not revision.is_reliable and group != ResultGroup.UNUSABLE:
        # The department wants a label, which readers of the text see. It is no finding, in FHIR either.
        group = ResultGroup.UNCLEAR
    return PRESENCE[group]


def _algorithm(revision: Revision) -> sr.AlgorithmIdentification:
    name, _, version = revision.bundle.rpartition("-")
    parameters = []
    if revision.operating_point:
        parameters.append(f"operating point: {revision.operating_point}")
    if revision.threshold is not None:
        parameters.append(f"threshold: {100 * revision.threshold:.4g} %")
    return sr.AlgorithmIdentification(name or revision.bundle, version, parameters or None, manufacturer=MANUFACTURER)


def percent(revision: Revision) -> float:
    """The model's probability in percent, rounded as in the report."""
    return round(100 * (revision.probability or 0.0), 2)


def comments(revision: Revision) -> Sequence[str]:
    """The texts of the report."""
    by_model = GROUPS[ResultGroup(revision.group)]
    if revision.group != ResultGroup.UNUSABLE and not revision.is_reliable:
        by_model += " (not reliable)"
    if revision.group != ResultGroup.UNUSABLE and revision.probability is not None:
        by_model += f", probability {percent(revision):g} %"
    if revision.verdict:
        verdict = VERDICTS[Verdict(revision.verdict)]
        if revision.verdict_kind:
            verdict += f", {KINDS[PneumoniaKind(revision.verdict_kind)]}"
        agrees = revision.told_group == revision.group
        relation = "The model's result was" if agrees else "It overrules the model's result, which was"
        texts = [f"A reader's verdict: {verdict}. {relation}: {by_model}."]
    else:
        texts = [f"The model's result: {by_model}."]
    warnings = [WARNINGS[WarningCode(code)] for code in revision.warnings if code in WarningCode.values]
    if warnings:
        texts.append(f"Beware: {'; '.join(warnings)}.")
    return [*texts, PURPOSE]
