"""The trainer's gRPC methods: imports, sessions, predictions, evaluations."""
