"""The page's script: draws every chart in the colours of the scheme, and redraws after a change of scheme."""

from __future__ import annotations

import json

from ratchet.backtest.report.style import DARK, FONT, LIGHT


def script() -> str:
    palettes = json.dumps({"light": dict(LIGHT), "dark": dict(DARK)})
    return f"(() => {{\nconst palettes = {palettes};\nconst font = {json.dumps(FONT)};\n{DRAWING}}})();"


DRAWING = """
const dark = matchMedia('(prefers-color-scheme: dark)');
const shown = new Map();

function settings(colours, narrow) {
  const axis = {
    labelColor: colours.muted, titleColor: colours.muted, gridColor: colours.line, gridOpacity: 0.55,
    domain: false, ticks: false, labelFontSize: 11, titleFontSize: 11.5, titleFontWeight: 'normal', labelPadding: 6,
  };
  return {
    background: null, font, padding: 2, view: {stroke: null}, axis,
    legend: {
      labelColor: colours.text, labelFontSize: 12, symbolSize: 130, columnPadding: 18, rowPadding: 4, offset: 12,
      labelLimit: 300, columns: narrow ? 2 : 8,
    },
    text: {color: colours.text, font},
  };
}

async function draw() {
  const colours = palettes[dark.matches ? 'dark' : 'light'];
  for (const place of document.querySelectorAll('[data-chart]')) {
    const text = document.getElementById(place.dataset.chart).textContent;
    const spec = JSON.parse(text.replace(/"@(\\w+)"/g, (_, name) => JSON.stringify(colours[name])));
    const earlier = shown.get(place);
    if (earlier) earlier.finalize();
    shown.set(place, await vegaEmbed(place, spec, {
      mode: 'vega-lite', renderer: 'svg', actions: false, config: settings(colours, place.clientWidth < 560),
    }));
    const drawn = place.querySelector('svg');
    if (drawn) drawn.setAttribute('aria-label', place.dataset.said);
  }
}

dark.addEventListener('change', draw);
draw();
"""
