"""What follows from evidence: pure rules that the registry executes and the verifier executes again."""
