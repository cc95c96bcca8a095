"""Decision rules as pure functions of evidence, executed by the registry and again by the verifier."""
