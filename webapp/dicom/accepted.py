"""The SOP classes (PS3.4 B.5) and transfer syntaxes that the listener and DICOMweb accept from scanners and PACS."""

#: Projection radiography and secondary capture. Images that are no single frontal chest X-ray are stored, not scored.
CLASSES = tuple(
    f"1.2.840.10008.5.1.4.1.1.{number}"
    for number in (
        "1",  # computed radiography
        "1.1", "1.1.1",  # digital X-rays, for presentation and for processing
        "1.2", "1.2.1",  # mammography
        "1.3", "1.3.1",  # intra-oral X-rays
        "7", "7.1", "7.2", "7.3", "7.4",  # secondary capture, of one frame and of several
    )
)  # fmt: skip
#: In order of preference: the listener accepts the first one that a sender proposes for an image.
SYNTAXES = tuple(
    f"1.2.840.10008.1.2{number}"
    for number in (
        ".1", "", ".1.99", ".2",  # explicit, implicit, deflated, big-endian
        ".4.80", ".4.90", ".4.201", ".4.202",  # JPEG-LS, JPEG 2000 and its High Throughput, without loss
        ".4.70", ".4.57", ".5",  # JPEG without loss, run lengths
        ".4.50", ".4.51", ".4.81", ".4.91", ".4.203",  # JPEG, JPEG-LS, JPEG 2000 and its High Throughput
    )
)  # fmt: skip
