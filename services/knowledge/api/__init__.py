"""KnowledgeService over gRPC: requests checked, answers made."""
