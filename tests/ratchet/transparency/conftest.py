"""Properties are checked without a deadline: on a busy machine time decides nothing."""

from hypothesis import settings

settings.register_profile("without-deadline", deadline=None)
settings.load_profile("without-deadline")
