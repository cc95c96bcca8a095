"""The writes: evidence and people's words become facts."""
