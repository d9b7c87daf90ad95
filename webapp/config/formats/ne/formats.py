"""Dates as the pages write them in Nepali: of the common era and with the digits 0 to 9, as films have them."""

DATE_FORMAT = "j F Y"
DATETIME_FORMAT = "j F Y, H:i"
SHORT_DATE_FORMAT = "Y-m-d"
