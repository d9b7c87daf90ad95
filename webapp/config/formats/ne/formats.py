"""Date formats of pages in Nepali. They use the Gregorian calendar and the digits 0 to 9, as on X-ray films."""

DATE_FORMAT = "j F Y"
DATETIME_FORMAT = "j F Y, H:i"
SHORT_DATE_FORMAT = "Y-m-d"
