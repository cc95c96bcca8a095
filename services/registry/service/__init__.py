"""RegistryService over gRPC: names parsed, states loaded, decided by the domain, committed by the log."""

from services.registry.service.servicer import NAME, RegistryService

__all__ = ["NAME", "RegistryService"]
