"""TA-Lib's indicators, normalised to be independent of the units of price and volume.

Lines that follow the price enter as the close's gap to them, differences of prices as a share of the close, cumulative
lines as differences. `excluded` lists the other functions, with reasons.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import talib

from ratchet.scoring.data import trailing
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.features.feature import Column, Columns, Feature, Kind, columns, feature
from ratchet.scoring.features.phrases import above, below, coded, distance, either, since


def _to_line(name: str) -> Column:
    """A gap to the line in the name: "sma_gap_20" to sma_20."""
    return Column(name, "percent", distance(name.replace("_gap", "")))


def _gap(name: str, line: Callable[[Bars], Floats]) -> Feature:
    """The close's gap to a line, as a share of the line."""
    return Feature((_to_line(name),), "level", lambda bars: (bars.close / line(bars) - 1,))


def _share(*names: str, values: Columns, kind: Kind = "level") -> Feature:
    """Differences of prices as shares of the close."""
    return Feature(
        columns(*names, unit="percent"), kind, lambda bars: tuple(value / bars.close for value in values(bars))
    )


def _channel(name: str, bands: Columns) -> Feature:
    """Position of the close between a lower (0) and an upper (1) band, and the width of the channel."""

    def compute(bars: Bars) -> tuple[Floats, ...]:
        upper, middle, lower = bands(bars)
        return (bars.close - lower) / (upper - lower), (upper - lower) / middle

    return Feature((Column(f"{name}_position_20"), Column(f"{name}_width_20", "percent")), "level", compute)


def _extremes(window: int) -> Feature:
    """The close's gap to its highest and lowest close of the last `window`, and their ages in bars."""

    def compute(bars: Bars) -> tuple[Floats, ...]:
        at = np.arange(len(bars), dtype=np.float64)
        at[: window - 1] = np.nan
        return (
            bars.close / talib.MAX(bars.close, window) - 1,
            bars.close / talib.MIN(bars.close, window) - 1,
            at - talib.MAXINDEX(bars.close, window),
            at - talib.MININDEX(bars.close, window),
        )

    high, low = f"highest close of {window} bars", f"lowest close of {window} bars"
    columns = (
        Column(f"high_gap_{window}", "percent", below(f"the {high}")),
        Column(f"low_gap_{window}", "percent", above(f"the {low}")),
        Column(f"bars_since_high_{window}", phrase=since(high)),
        Column(f"bars_since_low_{window}", phrase=since(low)),
    )
    return Feature(columns, "level", compute)


def _average_volume(bars: Bars) -> Floats:
    """The volume of an average bar of the last 20."""
    return trailing.mean(bars.volume, 20)


def _flow(name: str, line: Callable[[Bars], Floats]) -> Feature:
    """The change of a cumulative volume line over 10 bars, as a share of the volume of 10 average bars."""
    return feature(name, "volume", lambda bars: trailing.change(line(bars), 10) / (10 * _average_volume(bars)))


def _growth(name: str, line: Callable[[Bars], Floats]) -> Feature:
    """The growth of a line over 20 bars."""

    def compute(bars: Bars) -> Floats:
        values = line(bars)
        return values / trailing.lag(values, 20) - 1

    return feature(name, "volume", compute, "percent")


def _supertrend(bars: Bars) -> tuple[Floats, ...]:
    line, trend = talib.SUPERTREND(bars.high, bars.low, bars.close, 10, 3.0)
    return bars.close / line - 1, trend.astype(np.float64)


_TREND = Column("supertrend_trend_10", phrase=either(-1.0, "supertrend_10 up", "supertrend_10 down"))


def _averages(bars: Bars) -> tuple[Floats, ...]:
    return tuple(bars.close / line - 1 for line in talib.MAMA(bars.close, 0.5, 0.05))


def _heikin_ashi(bars: Bars) -> tuple[Floats, ...]:
    opened, high, low, close = talib.HA(bars.open, bars.high, bars.low, bars.close)
    return close - opened, high - low


def _fractal(bars: Bars) -> tuple[Floats, ...]:
    """1 on the bar that confirms a swing two bars ago."""
    return tuple(swing / 100.0 for swing in talib.FRACTAL(bars.high, bars.low, 2, 2))


_SWINGS = (
    Column("swing_high_2", phrase=coded({0.0: "no swing high 2 bars ago", 1.0: "a swing high 2 bars ago"})),
    Column("swing_low_2", phrase=coded({0.0: "no swing low 2 bars ago", 1.0: "a swing low 2 bars ago"})),
)


def _rsi(period: int) -> Feature:
    return feature(f"rsi_{period}", "level", lambda bars: talib.RSI(bars.close, period))


def _return(over: int) -> Feature:
    return feature(f"return_{over}", "level", lambda bars: trailing.change(np.log(bars.close), over), "percent")


def _sma_gap(period: int) -> Feature:
    return _gap(f"sma_gap_{period}", lambda bars: talib.SMA(bars.close, period))


MOMENTUM: tuple[Feature, ...] = (
    *(_rsi(period) for period in (2, 7, 21)),
    *(_return(over) for over in (2, 3, 60, 120)),
    feature("adxr_14", "level", lambda b: talib.ADXR(b.high, b.low, b.close, 14)),
    feature("dx_14", "level", lambda b: talib.DX(b.high, b.low, b.close, 14)),
    feature("plus_di_14", "level", lambda b: talib.PLUS_DI(b.high, b.low, b.close, 14)),
    feature("minus_di_14", "level", lambda b: talib.MINUS_DI(b.high, b.low, b.close, 14)),
    Feature(columns("aroon_down_14", "aroon_up_14"), "level", lambda b: talib.AROON(b.high, b.low, 14)),
    feature("aroon_oscillator_14", "level", lambda b: talib.AROONOSC(b.high, b.low, 14)),
    feature("balance_of_power", "level", lambda b: talib.BOP(b.open, b.high, b.low, b.close)),
    feature("cci_14", "level", lambda b: talib.CCI(b.high, b.low, b.close, 14)),
    feature("cmo_unsmoothed_14", "level", lambda b: talib.CMOU(b.close, 14)),
    feature("coppock", "level", lambda b: talib.COPPOCK(b.close, 10, 11, 14)),
    feature("efficiency_ratio_10", "level", lambda b: talib.ER(b.close, 10)),
    feature("forecast_oscillator_5", "level", lambda b: talib.FOSC(b.close, 5)),
    feature("imi_14", "level", lambda b: talib.IMI(b.open, b.close, 14)),
    Feature(
        columns("kdj_k_9", "kdj_d_9", "kdj_j_9"),
        "level",
        lambda b: talib.KDJ(b.high, b.low, b.close, 9, 3, slowd_period=3),
    ),
    Feature(columns("smi_13", "smi_signal_13"), "level", lambda b: talib.SMI(b.high, b.low, b.close, 13, 2, 25, 9)),
    Feature(
        columns("stoch_k_5", "stoch_d_5"), "level", lambda b: talib.STOCH(b.high, b.low, b.close, 5, 3, slowd_period=3)
    ),
    feature("stoch_fast_5", "level", lambda b: talib.STOCHF(b.high, b.low, b.close, 5, 3)[0]),
    Feature(columns("stoch_rsi_k_14", "stoch_rsi_d_14"), "level", lambda b: talib.STOCHRSI(b.close, 14, 5, 3)),
    feature("trix_15", "level", lambda b: talib.TRIX(b.close, 15)),
    feature("tsi_25_13", "level", lambda b: talib.TSI(b.close, 25, 13)),
    feature("ultimate_oscillator", "level", lambda b: talib.ULTOSC(b.high, b.low, b.close, 7, 14, 28)),
    feature("vhf_28", "level", lambda b: talib.VHF(b.close, 28)),
    Feature(columns("vortex_plus_14", "vortex_minus_14"), "level", lambda b: talib.VORTEX(b.high, b.low, b.close, 14)),
    feature("williams_r_14", "level", lambda b: talib.WILLR(b.high, b.low, b.close, 14)),
    _share("accelerator", values=lambda b: (talib.AC(b.high, b.low, 5, 34, 5),)),
    _share("awesome_oscillator", values=lambda b: (talib.AO(b.high, b.low, 5, 34),)),
    _share("dpo_20", values=lambda b: (talib.DPO(b.close, 20),)),
    _share("bull_power_13", "bear_power_13", values=lambda b: talib.ERI(b.high, b.low, b.close, 13)),
    _share("qstick_10", values=lambda b: (talib.QSTICK(b.open, b.close, 10),)),
    _share("wad_change_10", values=lambda b: (trailing.change(talib.WAD(b.high, b.low, b.close), 10),)),
    Feature(_SWINGS, "candle", _fractal),
)

OVERLAP: tuple[Feature, ...] = (
    *(_sma_gap(period) for period in (5, 20, 50, 200)),
    _gap("dema_gap_30", lambda b: talib.DEMA(b.close, 30)),
    _gap("hma_gap_20", lambda b: talib.HMA(b.close, 20)),
    _gap("kama_gap_30", lambda b: talib.KAMA(b.close, 30)),
    _gap("rma_gap_30", lambda b: talib.RMA(b.close, 30)),
    _gap("t3_gap_5", lambda b: talib.T3(b.close, 5, 0.7)),
    _gap("tema_gap_30", lambda b: talib.TEMA(b.close, 30)),
    _gap("trima_gap_30", lambda b: talib.TRIMA(b.close, 30)),
    _gap("vwma_gap_30", lambda b: talib.VWMA(b.close, b.volume, 30)),
    _gap("wma_gap_30", lambda b: talib.WMA(b.close, 30)),
    _gap("zlema_gap_30", lambda b: talib.ZLEMA(b.close, 30)),
    _gap("midpoint_gap_14", lambda b: talib.MIDPOINT(b.close, 14)),
    _gap("midprice_gap_14", lambda b: talib.MIDPRICE(b.high, b.low, 14)),
    _gap("sar_gap", lambda b: talib.SAR(b.high, b.low, 0.02, 0.2)),
    Feature((_to_line("mama_gap"), _to_line("fama_gap")), "level", _averages),
    Feature((_to_line("supertrend_gap_10"), _TREND), "level", _supertrend),
    _share("heikin_ashi_body", "heikin_ashi_range", values=_heikin_ashi),
    _channel("acceleration_bands", lambda b: tuple(talib.ACCBANDS(b.high, b.low, b.close, 20))),
    _channel("donchian", lambda b: talib.DONCHIAN(b.high, b.low, 20)),
    _channel("keltner", lambda b: talib.KC(b.high, b.low, b.close, 20, 10, 2.0)),
    *(_extremes(window) for window in (20, 60, 250)),
)

CYCLE: tuple[Feature, ...] = (
    feature("ht_period", "level", lambda b: talib.HT_DCPERIOD(b.close)),
    feature("ht_phase", "level", lambda b: talib.HT_DCPHASE(b.close)),
    Feature(columns("ht_sine", "ht_lead_sine"), "level", lambda b: talib.HT_SINE(b.close)),
    feature(
        "ht_trend_mode",
        "level",
        lambda b: np.asarray(talib.HT_TRENDMODE(b.close), np.float64),
        phrase=either(0.0, "market in trend mode", "market in cycle mode"),
    ),
    _share("ht_in_phase", "ht_quadrature", values=lambda b: talib.HT_PHASOR(b.close)),
    _gap("ht_trendline_gap", lambda b: talib.HT_TRENDLINE(b.close)),
)

STATISTICS: tuple[Feature, ...] = (
    feature("high_low_beta_5", "level", lambda b: talib.BETA(b.high, b.low, 5)),
    feature("high_low_correlation_30", "level", lambda b: talib.CORREL(b.high, b.low, 30)),
    _gap("regression_gap_14", lambda b: talib.LINEARREG(b.close, 14)),
    _gap("regression_start_gap_14", lambda b: talib.LINEARREG_INTERCEPT(b.close, 14)),
    _gap("regression_forecast_gap_14", lambda b: talib.TSF(b.close, 14)),
    _share("regression_slope_14", values=lambda b: (talib.LINEARREG_SLOPE(b.close, 14),)),
    _gap("median_gap_30", lambda b: talib.PERCENTILE(b.close, 30, 50.0)),
    feature("percent_rank_100", "level", lambda b: talib.PERCENTRANK(b.close, 100)),
    _share("standard_deviation_5", values=lambda b: (talib.STDDEV(b.close, 5, 1.0),)),
    _share("average_deviation_14", values=lambda b: (talib.AVGDEV(b.close, 14),)),
    _share("average_range_14", values=lambda b: (talib.ADR(b.high, b.low, 14),)),
    _share("true_range_1", values=lambda b: (talib.TRANGE(b.high, b.low, b.close),)),
    feature("chaikin_volatility_10", "level", lambda b: talib.CVI(b.high, b.low, 10, 10)),
    feature("mass_index", "level", lambda b: talib.MASSI(b.high, b.low, 9, 25)),
    feature("rvi_14", "level", lambda b: talib.RVI(b.close, 14, 10)),
)

VOLUME: tuple[Feature, ...] = (
    _flow("obv_change_10", lambda b: talib.OBV(b.close, b.volume)),
    _flow("ad_change_10", lambda b: talib.AD(b.high, b.low, b.close, b.volume)),
    _flow("pvt_change_10", lambda b: talib.PVT(b.close, b.volume)),
    _growth("nvi_growth_20", lambda b: talib.NVI(b.close, b.volume)),
    _growth("pvi_growth_20", lambda b: talib.PVI(b.close, b.volume)),
    feature(
        "ad_oscillator", "volume", lambda b: talib.ADOSC(b.high, b.low, b.close, b.volume, 3, 10) / _average_volume(b)
    ),
    feature("cmf_20", "volume", lambda b: talib.CMF(b.high, b.low, b.close, b.volume, 20)),
    _share("force_index_13", values=lambda b: (talib.EFI(b.close, b.volume, 13) / _average_volume(b),), kind="volume"),
    _share(
        "facilitation_1",
        values=lambda b: (talib.MARKETFI(b.high, b.low, b.volume) * _average_volume(b),),
        kind="volume",
    ),
    feature("mfi_14", "volume", lambda b: talib.MFI(b.high, b.low, b.close, b.volume, 14)),
    feature("pvo_12_26", "volume", lambda b: talib.PVO(b.volume, 12, 26, 1)),
)

FEATURES: tuple[Feature, ...] = (*MOMENTUM, *OVERLAP, *CYCLE, *STATISTICS, *VOLUME)
