"""What a user waits for or pays for, each beside the bare limit of the parts beneath it: make bench."""
