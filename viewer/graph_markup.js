// The route graph's frame: slider, count and legend above, hints below.

const FONT = "Roboto, system-ui, sans-serif"
const MAX_THRESHOLD = 0.2

const STYLE = `
  .graph { font: 13px/1.4 ${FONT}; color: var(--fg-text); position: relative }
  .bar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 22px;
    padding: 2px 0 10px; min-height: 28px }
  .bar label { display: flex; align-items: center; gap: 10px }
  .bar input { width: 210px; accent-color: var(--fg-accent); margin: 0; cursor: pointer }
  .number { font-variant-numeric: tabular-nums; min-width: 3.2em; display: inline-block }
  .count { color: var(--fg-muted); min-width: 7.5em; font-variant-numeric: tabular-nums }
  .legend { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--fg-muted);
    margin-left: auto }
  .legend span { display: inline-flex; align-items: center; gap: 6px; white-space: nowrap }
  .scroll { position: relative; overflow-x: auto; overflow-y: hidden; outline: none;
    border-radius: 4px; scrollbar-width: thin }
  .scroll:focus-visible { box-shadow: 0 0 0 2px var(--fg-accent) }
  .stage { position: sticky; left: 0; overflow: hidden }
  canvas { position: absolute; left: 0; top: 0 }
  .tip { position: absolute; z-index: 5; pointer-events: none; max-width: 320px;
    padding: 8px 11px; border-radius: 6px; border: 1px solid var(--fg-line);
    background: var(--fg-surface); box-shadow: 0 4px 16px #0003; white-space: nowrap }
  .tip[hidden] { display: none }
  .tip .tokens { font-family: var(--fg-monospace); font-size: 12px; margin: 3px 0;
    overflow: hidden; text-overflow: ellipsis }
  .tip .row { display: flex; justify-content: space-between; gap: 20px;
    font-variant-numeric: tabular-nums; color: var(--fg-muted) }
  .tip .row b { font-weight: 400; color: var(--fg-text) }
  .hint { color: var(--fg-muted); font-size: 12px; line-height: 1.7; margin: 10px 0 0 }
  kbd { font: 11px var(--fg-monospace); border: 1px solid var(--fg-line);
    border-radius: 3px; padding: 0 4px; background: var(--fg-raised) }
  .spoken { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%) }`

const SWATCHES = [
  ["attention", '<path d="M1 7H21" stroke="var(--fg-attn)" stroke-width="3"/>'],
  ["residual", '<path d="M1 7H21" stroke="var(--fg-resid)" stroke-width="2"/>'],
  ["FFN", `<path d="M1 12Q11 -4 21 12" stroke="var(--fg-ffn)" stroke-width="2" fill="none"/>
    <rect x="7.5" y="0.5" width="7" height="7" fill="var(--fg-ffn)"/>`],
  ["residual state", `<circle cx="11" cy="7" r="4" fill="var(--fg-node)"
    stroke="var(--fg-muted)" stroke-width="1.2"/>`],
  ["target", '<circle cx="11" cy="7" r="5" fill="var(--fg-target)"/>'],
  ["target of the sweep", `<path d="M6 3H16L11 11Z" fill="var(--fg-surface)"
    stroke="var(--fg-target)" stroke-width="1.4"/>`],
]

const LEGEND = SWATCHES.map(([name, shape]) =>
  `<span><svg width="22" height="14" aria-hidden="true">${shape}</svg>${name}</span>`,
).join("")

const LABEL = "Route graph: arrow keys walk the residual states, Enter makes a token " +
  "the target, brackets change the threshold"

const MARKUP = `
<style>${STYLE}</style>
<div class="graph" data-testid="route-graph">
  <div class="bar">
    <label>Threshold <input type="range" max="${MAX_THRESHOLD}" step="any">
      <span class="number"></span></label>
    <span class="count"></span>
    <span class="legend">${LEGEND}</span>
  </div>
  <div class="scroll" tabindex="0" role="application" aria-label="${LABEL}">
    <div class="sizer">
      <div class="stage"><canvas></canvas><canvas></canvas></div>
    </div>
  </div>
  <div class="tip" hidden></div>
  <p class="hint">Click a token to make it the target. <kbd>[</kbd> <kbd>]</kbd> change
    the threshold, <kbd>←</kbd> <kbd>↑</kbd> <kbd>→</kbd> <kbd>↓</kbd> walk the residual
    states, <kbd>Enter</kbd> makes the token there the target.</p>
  <div class="spoken" role="status" aria-live="polite"></div>
</div>`
