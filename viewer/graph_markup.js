// The route graph's frame: controls above; the graph between its brushes; legend, files
// and hints below.

const MAX_THRESHOLD = 0.2

const SWATCHES = [
  ["attention", '<path d="M1 7H21" stroke="var(--fg-attn)" stroke-width="3"/>'],
  ["residual", '<path d="M1 7H21" stroke="var(--fg-resid)" stroke-width="2"/>'],
  ["FFN", `<path d="M1 12Q11 -4 21 12" stroke="var(--fg-ffn)" stroke-width="2" fill="none"/>
    <rect x="7.5" y="0.5" width="7" height="7" fill="var(--fg-ffn)"/>`],
  ["residual state", `<circle cx="11" cy="7" r="4" fill="var(--fg-node)"
    stroke="var(--fg-muted)" stroke-width="1.2"/>`],
  ["target", '<circle cx="11" cy="7" r="5" fill="var(--fg-target)"/>'],
  ["traced", `<path d="M6 3H16L11 11Z" fill="var(--fg-surface)"
    stroke="var(--fg-target)" stroke-width="1.4"/>`],
]

const legendOf = (swatches) => swatches.map(([name, shape]) =>
  `<span><svg width="22" height="14" aria-hidden="true">${shape}</svg>${name}</span>`,
).join("")

// What the frame says where the graph is that of one target.
const ROUTE_SAYS = {
  label: "Route graph",
  level: "Threshold",
  levelHint: "Only what survives above it is drawn",
  mostHint: "those that survive longest",
  highest: MAX_THRESHOLD,
  legend: SWATCHES,
  hint: `Click an edge, dot or square to select it, a token to make it the target.
    Drag pans, Ctrl and wheel zoom, the strips draw only a part.`,
  keys: [
    ["← ↑ → ↓", "walk"], ["E", "edges into a state"], ["Enter", "select"],
    ["T", "make target"], ["Esc", "clear"], ["[ ]", "threshold"], ["+ − 0", "zoom"],
  ],
}

const keysOf = (keys) =>
  keys.map(([key, what]) => `<span><kbd>${key}</kbd> ${what}</span>`).join(" ")

const HANDLE = '<div role="slider" tabindex="0"></div>'

const brushMarkup = (side, noun) => `
  <div class="brush ${side}" role="group" aria-label="${noun}s drawn">
    <canvas></canvas><div class="chosen"></div>${HANDLE}${HANDLE}
  </div>`

const button = (name, label, text) =>
  `<button type="button" data-do="${name}" title="${label}" aria-label="${label}">` +
  `${text}</button>`

const icon = (path) =>
  `<svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><path d="${path}"
    fill="none" stroke="currentColor" stroke-width="1.5"/></svg>`
const FIT = icon("M1 4V1H4M8 1H11V4M11 8V11H8M4 11H1V8")
const SAVE = icon("M6 0V8M2.5 5 6 8.5 9.5 5M1 11.2H11")

const markupOf = (says) => `
<style>${STYLE}</style>
<div class="graph" data-testid="route-graph">
  <div class="bar">
    <label title="${says.levelHint}">${says.level}
      <input class="threshold" type="range" max="${says.highest}" step="any">
      <output class="number"></output></label>
    <label class="switch" title="Widths by the share among what is left into a state, not
by contribution">
      <input class="renormalise" type="checkbox" role="switch">Renormalise</label>
    <label title="At most so many edges, ${says.mostHint}; arrow keys change it
by 10, with Shift by 1">Strongest
      <input class="strongest" type="number" min="1" step="1" placeholder="all"></label>
    <span class="count" role="note"></span>
    <span class="buttons" role="group" aria-label="Zoom">
      ${button("out", "Zoom out", "−")}${button("in", "Zoom in", "+")}${
      button("fit", "All of it, or as it comes", FIT)}
    </span>
  </div>
  <div class="frame">
    ${brushMarkup("upright", "layer")}
    <div class="scroll" tabindex="0" role="application" aria-label="${says.label}"
      aria-describedby="route-graph-hint">
      <div class="sizer"><div class="stage">
        <canvas></canvas><canvas class="lines"></canvas><canvas></canvas>
      </div></div>
    </div>
    ${brushMarkup("along", "position")}
  </div>
  <div class="tip" hidden></div>
  <div class="foot">
    <span class="legend">${legendOf(says.legend)}</span>
    <span class="buttons" role="group" aria-label="Download the graph">
      ${button("svg", "Download as SVG", `${SAVE} SVG`)}${
      button("png", "Download as PNG", `${SAVE} PNG`)}
    </span>
  </div>
  <div class="hint" id="route-graph-hint"><p>${says.hint}</p><p>${keysOf(says.keys)}</p></div>
  <div class="spoken" role="status" aria-live="polite"></div>
</div>`
