"""The JSON document of a backtest: the summary, then the whole result."""

from __future__ import annotations

from ratchet.backtest import wording
from ratchet.backtest.compare import Score, scores
from ratchet.backtest.result import FORMAT, Json, Result, from_json, to_json
from ratchet.errors import InvalidInput


def document(result: Result) -> dict[str, Json]:
    """Plain data for json.dumps; `read` takes it back."""
    return {"format": FORMAT, "summary": summary(result), "result": to_json(result)}


def summary(result: Result) -> dict[str, Json]:
    """The summary, without the forecasts of each bar."""
    found = scores(result)
    sentences = wording.comparisons(found)
    return {
        "setting": to_json(result.setting),
        "bars_scored": len(result.times),
        "headline": wording.headline(result, found),
        "history": wording.history(result),
        "sentences": [sentence.text for sentence in sentences],
        "scores": [_score(score) for score in found],
        "sessions": to_json(result.loop.sessions),
    }


def read(data: Json) -> Result:
    """The result in a document; InvalidInput for anything else."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InvalidInput(f"this is no {FORMAT} document; give the backtest.json that ratchet backtest wrote")
    return from_json(data.get("result"))


def _score(score: Score) -> Json:
    return {
        "arm": score.arm,
        "brier": to_json(score.brier),
        "accuracy": to_json(score.accuracy),
        "auc": to_json(score.auc),
        "cpu_seconds": score.cpu_seconds,
        "ratchets_gain": to_json(score.gain),
        "ratchet_is": score.gain.finding if score.gain else None,
    }
