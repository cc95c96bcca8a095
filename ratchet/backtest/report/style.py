"""CSS of the page, and the light and dark palettes of page and charts."""

from __future__ import annotations

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "page": "#fcfcfa",
    "text": "#1d2125",
    "muted": "#646b72",
    "line": "#c6cac9",
    "band": "#eeefea",
    "ratchet": "#0f766e",
    "never": "#8456c9",
    "always": "#c2570c",
    "scratch": "#2f6bc9",
    "baseline": "#858c93",
    "best": "#1d2125",
    "better": "#0f766e",
    "worse": "#b3362c",
    "neutral": "#7b828a",
    "faint": "#b9bdc1",
    "training": "#cfd4d3",
    "tune": "#c9a227",
    "choose": "#d98a4b",
    "holdout": "#4f7fc4",
}
DARK: Mapping[str, str] = {
    "page": "#15181b",
    "text": "#e4e6e7",
    "muted": "#99a1a8",
    "line": "#474d53",
    "band": "#1e2327",
    "ratchet": "#3cc7b7",
    "never": "#b493ec",
    "always": "#f0914a",
    "scratch": "#77a9f2",
    "baseline": "#7f888f",
    "best": "#e4e6e7",
    "better": "#3cc7b7",
    "worse": "#f0796d",
    "neutral": "#98a0a8",
    "faint": "#596067",
    "training": "#454c51",
    "tune": "#c9a83c",
    "choose": "#d99158",
    "holdout": "#6c9be0",
}

FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def css() -> str:
    light = f":root{{color-scheme:light dark;{_names(LIGHT)}}}"
    return f"{light}@media(prefers-color-scheme:dark){{:root{{{_names(DARK)}}}}}{RULES}"


def _names(palette: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in palette.items())


RULES = f"""
*{{box-sizing:border-box}}
body{{margin:0;background:var(--page);color:var(--text);font:16px/1.55 {FONT};-webkit-text-size-adjust:100%}}
main{{max-width:1080px;margin:0 auto;padding:56px 28px 72px}}
h1{{font-size:2rem;line-height:1.2;font-weight:620;letter-spacing:-.015em;margin:0 0 6px}}
h2{{font-size:1.22rem;line-height:1.3;font-weight:620;letter-spacing:-.005em;margin:0 0 6px}}
h3{{font-size:.85rem;line-height:1.4;font-weight:560;margin:0 0 2px}}
p{{margin:0 0 10px;max-width:74ch}}
section{{margin-top:60px}}
.quiet,figcaption,footer{{color:var(--muted)}}
.reading{{color:var(--muted);font-size:.93rem;margin-bottom:16px}}
.lead{{font-size:1.12rem;line-height:1.5;margin:26px 0 10px;max-width:70ch}}
.findings{{list-style:none;margin:18px 0 0;padding:0;border-top:1px solid var(--line)}}
.findings li{{display:grid;grid-template-columns:13em 1fr;gap:14px;padding:7px 0;
border-bottom:1px solid var(--line)}}
.mark{{font-size:.86rem;font-weight:560;white-space:nowrap;align-self:baseline}}
.mark::before{{content:"";display:inline-block;width:.62em;height:.62em;border-radius:50%;margin-right:.55em;
background:var(--neutral)}}
.better::before{{background:var(--better)}} .worse::before{{background:var(--worse)}}
.better{{color:var(--better)}} .worse{{color:var(--worse)}} .neutral{{color:var(--muted)}}
.neutral::before{{background:none;box-shadow:inset 0 0 0 1.5px var(--neutral)}}
.scroll{{overflow-x:auto;margin-top:14px}}
.scroll:focus-visible{{outline:2px solid var(--ratchet);outline-offset:4px}}
table{{border-collapse:collapse;width:100%;font-size:.89rem;font-variant-numeric:tabular-nums}}
caption{{text-align:left;color:var(--muted);font-size:.93rem;padding-bottom:8px}}
th,td{{text-align:left;padding:7px 16px 7px 0;border-bottom:1px solid var(--line);white-space:nowrap;
vertical-align:baseline}}
th:last-child,td:last-child{{padding-right:0}}
thead th{{color:var(--muted);font-weight:500;font-size:.83rem}}
tbody th{{font-weight:500}} tbody.trained tr:first-child th{{color:var(--ratchet);font-weight:650}}
tbody tr.best th{{font-weight:650}}
tbody th.group{{padding-top:20px;color:var(--muted);font-weight:500;font-size:.83rem}}
.number{{text-align:right}}
td small,.range{{color:var(--muted);font-size:.92em}}
svg.gain{{display:block;position:relative;top:3px;width:170px;height:18px}}
svg.gain .zero{{stroke:var(--line)}} svg.gain .limits{{stroke-width:2;stroke:var(--neutral)}}
svg.gain circle,svg.gain path{{fill:var(--neutral)}}
svg.gain.better .limits{{stroke:var(--better)}} svg.gain.better circle,svg.gain.better path{{fill:var(--better)}}
svg.gain.worse .limits{{stroke:var(--worse)}} svg.gain.worse circle,svg.gain.worse path{{fill:var(--worse)}}
figure{{margin:0}}
figcaption{{font-size:.86rem;margin-top:8px;max-width:90ch}}
.chart{{width:100%}}
.panels{{display:grid;gap:26px 34px;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr))}}
.panels figcaption{{margin-top:2px;font-size:.8rem}}
.pair{{display:grid;gap:0 48px;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr))}}
.decisions{{list-style:none;margin:14px 0 0;padding:0;border-top:1px solid var(--line);font-size:.93rem}}
.decisions li{{display:grid;grid-template-columns:6.4em 3em 10em 1fr;gap:14px;padding:9px 0;
border-bottom:1px solid var(--line)}}
.decisions p{{margin:0;max-width:none;overflow-wrap:anywhere}} .decisions p+p{{color:var(--muted);
font-size:.88rem;margin-top:3px}}
.decisions time{{font-variant-numeric:tabular-nums;color:var(--muted)}}
dl{{display:grid;grid-template-columns:10em 1fr;gap:6px 20px;margin:14px 0 0;font-size:.93rem}}
dt{{color:var(--muted)}} dd{{margin:0;overflow-wrap:anywhere}}
code{{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}}
.vega-embed{{width:100%}} .vega-embed svg{{display:block;max-width:100%}}
#vg-tooltip-element{{font-family:{FONT};font-size:12px;background:var(--page);color:var(--text);
border:1px solid var(--line);box-shadow:0 2px 10px rgb(0 0 0/.16)}}
#vg-tooltip-element table{{width:auto;font-size:12px}} #vg-tooltip-element td{{border:0;padding:1px 0}}
#vg-tooltip-element table tr td.key{{color:var(--muted);padding-right:10px}}
@media(max-width:640px){{main{{padding:32px 18px 48px}}section{{margin-top:44px}}h1{{font-size:1.6rem}}
.findings li{{grid-template-columns:1fr;gap:0}}.decisions li{{grid-template-columns:auto auto 1fr;gap:2px 14px}}
.decisions li>div{{grid-column:1/-1}}dl{{grid-template-columns:1fr;gap:0}}dd{{margin-bottom:8px}}}}
@media print{{main{{max-width:none;padding:0}}section{{break-inside:avoid}}}}
"""
