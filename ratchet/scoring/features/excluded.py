"""Excluded TA-Lib functions, each with the reason."""

from __future__ import annotations

EXCLUDED: dict[str, tuple[str, ...]] = {
    "arithmetic on a price: it depends on the price's unit and says nothing of itself": (
        *("ADD", "CUMSUM", "DIV", "MULT", "SUB", "SUM"),
        *("ACOS", "ASIN", "ATAN", "CEIL", "COS", "COSH", "EXP", "FLOOR", "LN", "LOG10", "SIN", "SINH"),
        *("SQRT", "TAN", "TANH"),
    ),
    "needs an input that bars do not have: a period for each bar": ("MAVP",),
    "another name or parameterisation of a column that is there": (
        *("MA", "MACDEXT", "MACDFIX", "MINMAX", "MINMAXINDEX", "SAREXT", "ROCP", "ROCR", "ROCR100", "MOM"),
        *("CDLLONGLEGGEDDOJI", "CDLTAKURI"),
    ),
    "a fixed function of a column that is there": (
        *("ROC", "APO", "PPO", "CMO", "NATR", "VAR", "LINEARREG_ANGLE", "RVOL", "MINUS_DM", "PLUS_DM"),
    ),
    "the bar's prices averaged: close_position and range_1 say the same": (
        *("AVGPRICE", "MEDPRICE", "TYPPRICE", "WCLPRICE"),
    ),
    "anchored to the first bar of the file, which means nothing": ("VWAP",),
    "fires on fewer than 1 in 1,000 bars of the demo series: too rare to learn from": (
        *("CDL2CROWS", "CDL3BLACKCROWS", "CDL3LINESTRIKE", "CDL3STARSINSOUTH", "CDL3WHITESOLDIERS"),
        *("CDLABANDONEDBABY", "CDLBREAKAWAY", "CDLCONCEALBABYSWALL", "CDLHIKKAKEMOD", "CDLIDENTICAL3CROWS"),
        *("CDLKICKING", "CDLKICKINGBYLENGTH", "CDLMATHOLD", "CDLRISEFALL3METHODS", "CDLTRISTAR"),
        "CDLUPSIDEGAP2CROWS",
    ),
}
