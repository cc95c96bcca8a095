"""PredictorService: each method of the contract."""

from __future__ import annotations

import grpc

from ratchet.predictor.v1 import predictor_pb2 as pb
from ratchet.predictor.v1 import predictor_pb2_grpc
from services.predictor.evaluation import Evaluator
from services.predictor.prediction import Predictor

NAME = pb.DESCRIPTOR.services_by_name["PredictorService"].full_name


class PredictorService(predictor_pb2_grpc.PredictorServiceServicer):
    def __init__(self, predictor: Predictor, evaluator: Evaluator) -> None:
        self._predictor = predictor
        self._evaluator = evaluator

    def Predict(self, request: pb.PredictRequest, context: grpc.ServicerContext) -> pb.PredictResponse:
        return self._predictor.predict(request)

    def Evaluate(self, request: pb.EvaluateRequest, context: grpc.ServicerContext) -> pb.EvaluateResponse:
        return self._evaluator.evaluate(request, context.is_active)
