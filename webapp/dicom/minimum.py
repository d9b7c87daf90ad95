"""The attributes of a DICOM file that are stored in the database, and why. All others stay in the file.

``docs/privacy.md`` has the same table, and a test compares both with the models.
"""

#: Attributes of the instance: the fields of :class:`webapp.dicom.models.Instance` that come from the file.
OF_INSTANCES = {
    "study_uid": "puts the images of one examination together, also those that come later",
    "series_uid": "results and queries refer to it",
    "instance_uid": "recognises an image that is sent again; results refer to it",
    "class_uid": "results have to name it with the instance",
    "transfer_syntax": "says whether a receiver can take the file as it is",
    "modality": "queries ask for it",
    "body_part": "shows why an image is not read as a chest",
    "view_position": "shows why an image is not read as a frontal one",
    "study_date": "tells a patient's examinations apart",
    "study_time": "tells those of one day apart",
    "study_description": "says in a list what was examined",
    "accession_number": "finds the examination of an order",
    "series_number": "the order of series in a viewer",
    "instance_number": "the order of images in a viewer",
    "series_description": "says in a viewer what a series shows",
    "rows": "queries have to return it",
    "columns": "queries have to return it",
    "bits_allocated": "queries have to return it",
    "number_of_frames": "queries have to return it",
}
#: Attributes of the patient, by their names in :func:`ml.pictures.dicom.attributes.attributes_of`.
OF_PATIENTS = {
    "patient_identifier": "puts the images of one patient together",
    "patient_name": "readers make sure of whom they read",
    "patient_birth_date": "gives the age, without which a result may not be relied on",
    "patient_sex": "tells patients apart; agreement is counted by it",
    "age": "the model is for ages one to five only",
}
