"""KnowledgeService over gRPC: validation of requests, and conversion to messages."""
