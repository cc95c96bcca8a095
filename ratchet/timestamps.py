"""Range of a protobuf Timestamp in epoch seconds: the years 1 to 9999."""

FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
