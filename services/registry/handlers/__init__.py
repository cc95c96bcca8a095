"""The write side: parse names, load states, decide in the domain, commit to the log."""
