"""Helpers of the tests: real services, databases and stores as processes, and what is put into them."""
