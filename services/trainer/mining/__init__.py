"""Pattern mining: search for readable rules on the older rows, test on the later rows."""
