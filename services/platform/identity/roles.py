"""The least role for each method, complete over every method of every service.

The roles of persons are ordered: viewer < trainer < promoter < admin. A service's role reads, and writes the facts of
that service, which no person and no other service may write; it neither trains nor promotes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.platform.identity.token_file import Role

PERSONS: tuple[Role, ...] = ("viewer", "trainer", "promoter", "admin")

_LEAST: Mapping[str, Mapping[Role, str]] = {
    "ratchet.eventlog.v1.EventLogService": {
        "viewer": "Read Subscribe GetHead ListCheckpoints ProveInclusion ProveConsistency Verify Export",
        "admin": "Rebuild",
        "service:knowledge": "Append",
    },
    "ratchet.registry.v1.RegistryService": {
        "viewer": "ListDatasets GetDataset ListTrainings GetModel ListModels CompareModels GetChampion GetSymbolBest"
        " GetSessionInputs ListDecisions GetLineage",
        "promoter": "PromoteModel RollbackChampion",
        "service:trainer": "RegisterDataset RequestTraining FailTraining CancelTraining RecordTraining",
    },
    "ratchet.knowledge.v1.KnowledgeService": {
        "viewer": "GetKnowledge ListPatterns GetPattern ListSuccessRates ListFeatureHistory",
        "trainer": "OfferPattern",
        "promoter": "RetirePattern",
        "service:trainer": "RecordEvidence",
    },
    "ratchet.trainer.v1.TrainerService": {
        "viewer": "WatchTraining ExportBars",
        "trainer": "ImportBars StartTraining CancelTraining ReproduceModel EvaluateFresh",
    },
    "ratchet.predictor.v1.PredictorService": {
        "viewer": "Predict",
        "trainer": "Evaluate",
    },
}

METHODS: Mapping[str, Role] = {
    f"/{service}/{method}": role
    for service, roles in _LEAST.items()
    for role, methods in roles.items()
    for method in methods.split()
}
"""The least role of each method, by its full name."""


def may(role: Role, method: str) -> bool:
    """Whether a caller with `role` may call `method`, a full name; nobody may call a method outside the table."""
    least = METHODS.get(method)
    if least is None:
        return False
    if is_service(role):
        return least in (role, "viewer")
    return not is_service(least) and PERSONS.index(role) >= PERSONS.index(least)


def is_service(role: Role) -> bool:
    """Whether the role is that of a service, which may act in the name of its caller."""
    return role.startswith("service:")
