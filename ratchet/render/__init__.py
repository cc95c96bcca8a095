"""Facts as text for people: decisions, diagnoses, sessions and patterns."""
