"""The write side: evidence and people's commands become facts."""
