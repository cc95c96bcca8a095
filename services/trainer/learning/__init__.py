"""One training session as a pure computation from SessionInputs to SessionOutcome."""
