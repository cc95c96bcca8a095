"""One session from its request to its end: inputs read, computed in a worker, outputs recorded."""
