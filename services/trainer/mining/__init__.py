"""Pattern mining: readable rules, found on the older rows and tested on the later ones."""
