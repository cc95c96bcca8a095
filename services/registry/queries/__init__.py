"""The read side: rows of the projections, now or as of a position, as messages of the contract."""
