// The route graph: threshold, hover, keyboard and target, all without the server.
// Python sends packed edges and tokens; it hears the chosen target, and the threshold
// once the slider rests. routes.js, graph_geometry.js and graph_paint.js come before.

const SLIDER_STEP = 0.005
const MAX_THRESHOLD = 0.2
const KIND_NAME = ["attention", "residual", "FFN"]

const MARKUP = `
<style>
  .graph { font: 13px/1.4 ${FONT}; color: var(--fg-text); position: relative }
  .bar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 22px;
    padding: 2px 0 10px; min-height: 28px }
  .bar label { display: flex; align-items: center; gap: 10px; font-weight: 500 }
  .bar input { width: 210px; accent-color: var(--fg-accent); margin: 0; cursor: pointer }
  .number { font-variant-numeric: tabular-nums; min-width: 3.2em; display: inline-block }
  .count { color: var(--fg-muted); min-width: 7.5em }
  .legend { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--fg-muted);
    margin-left: auto }
  .legend span { display: inline-flex; align-items: center; gap: 6px; white-space: nowrap }
  .scroll { position: relative; overflow-x: auto; overflow-y: hidden; outline: none;
    border-radius: 4px }
  .scroll:focus-visible { box-shadow: 0 0 0 2px var(--fg-accent) }
  .stage { position: sticky; left: 0; overflow: hidden }
  canvas { position: absolute; left: 0; top: 0 }
  .tip { position: absolute; z-index: 5; pointer-events: none; max-width: 320px;
    padding: 8px 11px; border-radius: 6px; border: 1px solid var(--fg-line);
    background: var(--fg-surface); box-shadow: 0 4px 16px #0003; white-space: nowrap }
  .tip .title { font-weight: 500 }
  .tip .tokens { font-family: var(--fg-monospace); font-size: 12px; margin: 2px 0;
    overflow: hidden; text-overflow: ellipsis }
  .tip .row { display: flex; justify-content: space-between; gap: 20px;
    font-variant-numeric: tabular-nums; color: var(--fg-muted) }
  .tip .row b { font-weight: 500; color: var(--fg-text) }
  .hint { color: var(--fg-muted); font-size: 12px; margin: 10px 0 0 }
  kbd { font: 11px var(--fg-monospace); border: 1px solid var(--fg-line);
    border-radius: 3px; padding: 0 4px; background: var(--fg-raised) }
  .spoken { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%) }
</style>
<div class="graph" data-testid="route-graph">
  <div class="bar">
    <label>Threshold
      <input type="range" aria-label="Threshold" max="${MAX_THRESHOLD}" step="any">
      <span class="number"></span></label>
    <span class="count"></span>
    <span class="legend">
      <span>${swatch('<path d="M1 7 H21" stroke="var(--fg-attn)" stroke-width="3"/>')}attention</span>
      <span>${swatch('<path d="M1 7 H21" stroke="var(--fg-resid)" stroke-width="2"/>')}residual</span>
      <span>${swatch('<path d="M1 12 Q11 -4 21 12" stroke="var(--fg-ffn)" stroke-width="2" fill="none"/><rect x="7.5" y="0.5" width="7" height="7" fill="var(--fg-ffn)"/>')}FFN</span>
      <span>${swatch('<circle cx="11" cy="7" r="4" fill="var(--fg-node)" stroke="var(--fg-muted)" stroke-width="1.2"/>')}residual state</span>
      <span>${swatch('<circle cx="11" cy="7" r="5" fill="var(--fg-target)"/>')}target</span>
    </span>
  </div>
  <div class="scroll" tabindex="0" role="application"
    aria-label="Route graph: arrow keys walk the residual states, Enter makes a token the target, brackets change the threshold">
    <div class="sizer"><div class="stage"><canvas></canvas><canvas></canvas></div></div>
  </div>
  <div class="tip" hidden></div>
  <p class="hint">Click a token to make it the target. <kbd>[</kbd> <kbd>]</kbd> threshold,
    <kbd>←</kbd> <kbd>↑</kbd> <kbd>→</kbd> <kbd>↓</kbd> walk the states,
    <kbd>Enter</kbd> make its token the target.</p>
  <div class="spoken" role="status" aria-live="polite"></div>
</div>`

function swatch(shape) {
  return `<svg width="22" height="14" aria-hidden="true">${shape}</svg>`
}

export function render({ model, el }) {
  el.innerHTML = MARKUP
  const find = (selector) => el.querySelector(selector)
  const [graph, scroll, stage, tip] = [".graph", ".scroll", ".stage", ".tip"].map(find)
  const [canvas, overlay] = stage.querySelectorAll("canvas")
  const slider = find("input")
  const colour = (name) => coloursOf(graph)(name)

  let edges, layout, scene, words
  let hovered = null
  let cursor = null
  let [target, threshold] = [0, 0.04]

  const load = () => {
    edges = unpackEdges(bufferOf(model.edges))
    words = {
      tokens: model.tokens.map(shorten),
      predictions: model.predictions.map(shorten),
      stored: new Set(model.stored_targets),
    }
    hovered = cursor = null
    slider.min = model.lowest
  }
  const route = () => {
    const shape = {
      layers: model.layers, parallel: model.parallel,
      positions: model.tokens.length, target,
    }
    scene = { ...survivesAt(edges, shape), target, threshold }
    filter()
  }
  const filter = () => {
    const { lines, count } = linesOf(edges, scene.survives, threshold)
    Object.assign(scene, { lines, count, threshold })
    hovered = null
    if (cursor?.what === "line") cursor = null
  }
  const measure = () => {
    const c = canvas.getContext("2d")
    c.font = `bold 12.5px ${monospaceOf(graph)}`
    const widest = (texts) => Math.max(24, ...texts.map((t) => c.measureText(t).width))
    layout = layoutOf({
      layers: model.layers, positions: model.tokens.length, parallel: model.parallel,
      width: scroll.clientWidth, height: Math.max(380, innerHeight - 400),
      labels: { tokens: widest(words.tokens), predictions: widest(words.predictions) },
    })
    find(".sizer").style.width = `${Math.max(layout.contentWidth, scroll.clientWidth)}px`
    for (const [element, unit] of [[stage, 1], [canvas, devicePixelRatio], [overlay, devicePixelRatio]]) {
      element.style.width = `${scroll.clientWidth}px`
      element.style.height = `${layout.totalHeight}px`
      if (element === stage) continue
      element.width = Math.round(scroll.clientWidth * unit)
      element.height = Math.round(layout.totalHeight * unit)
    }
  }
  const clear = (element) => {
    const c = element.getContext("2d")
    c.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0)
    c.clearRect(0, 0, scroll.clientWidth, layout.totalHeight)
    c.lineCap = "round"
    c.monospace = monospaceOf(graph)
    return c
  }
  // Paint what is scrolled into view, right of the gutter.
  const inView = (c, paint) => {
    c.save()
    c.beginPath()
    c.rect(GUTTER - 6, 0, scroll.clientWidth, layout.totalHeight)
    c.clip()
    c.translate(-scroll.scrollLeft, 0)
    paint([scroll.scrollLeft, scroll.scrollLeft + scroll.clientWidth])
    c.restore()
  }
  const paint = () => {
    if (!scene || !scroll.clientWidth) return
    if (!layout) measure()
    const [c, ink] = [clear(canvas), coloursOf(graph)]
    paintBands(c, ink, layout, scroll.clientWidth)
    inView(c, (range) => {
      paintLines(c, ink, layout, scene, range)
      paintNodes(c, ink, layout, scene, range)
      paintLabels(c, ink, layout, scene, words, range)
    })
    paintGutter(c, ink, layout, layout.totalHeight)
    paintMarks()
    report()
  }
  const paintMarks = () => {
    const c = clear(overlay)
    inView(c, () => {
      for (const thing of [cursor, hovered]) {
        if (thing) paintMark(c, colour, layout, scene, thing)
      }
    })
  }
  const report = () => {
    slider.value = threshold
    find(".number").textContent = threshold.toFixed(3)
    find(".count").textContent = `${scene.count} ${scene.count === 1 ? "edge" : "edges"}`
    Object.assign(graph.dataset, {
      edges: scene.count, lines: scene.lines.length, target, threshold,
    })
  }

  // Changes of several parameters arrive one by one: act once they are all here.
  const due = new Set()
  const later = (...what) => {
    if (!due.size) {
      requestAnimationFrame(() => {
        const now = new Set(due)
        due.clear()
        if (!model.tokens.length) return
        if (now.has("load")) { load(); target = model.target; threshold = model.threshold }
        if (now.has("load") || now.has("route")) route()
        else if (now.has("filter")) filter()
        if (now.has("load") || now.has("size")) layout = null
        paint()
        if (now.has("load") || now.has("route")) reveal(target)
      })
    }
    for (const each of what) due.add(each)
  }
  const reveal = (position) => {
    if (!layout) return
    const x = layout.x(position)
    const [left, right] = [scroll.scrollLeft + GUTTER, scroll.scrollLeft + scroll.clientWidth]
    if (x - 40 < left) scroll.scrollLeft = x - GUTTER - 60
    if (x + 110 > right) scroll.scrollLeft = x + 130 - scroll.clientWidth
  }

  let settle = 0
  const setThreshold = (value, wait) => {
    threshold = clamp(model.lowest, Math.round(value * 1e4) / 1e4, MAX_THRESHOLD)
    later("filter")
    clearTimeout(settle)
    settle = setTimeout(() => { model.threshold = threshold }, wait)
  }
  const stepThreshold = (direction) => {
    const steps = threshold / SLIDER_STEP
    const next = direction > 0 ? Math.floor(steps + 1 + 1e-9) : Math.ceil(steps - 1 - 1e-9)
    setThreshold(next * SLIDER_STEP, 300)
  }
  const setTarget = (position) => {
    if (position === target) return
    target = position
    later("route")
    model.target = position
  }

  const describe = (thing) => {
    const token = (p) => `${model.tokens[p]} (${p})`
    if (thing.what === "token") {
      const [text, share] = [model.predictions[thing.position], model.probabilities[thing.position]]
      return {
        title: `Position ${thing.position}`, tokens: model.tokens[thing.position],
        rows: [["predicts", `${text}  ${(100 * share).toFixed(1)} %`]],
      }
    }
    if (thing.what === "state") {
      const reach = scene.reach[thing.row][thing.position]
      return {
        title: stateName(layout, thing.row), tokens: token(thing.position),
        rows: [["in the route up to", Number.isFinite(reach) ? reach.toFixed(3) : "any threshold"]],
      }
    }
    const { line } = thing
    const one = line.heads.length === 1 ? ` head ${line.heads[0].head}` : ""
    const many = line.heads.length > 1 ? `, ${line.heads.length} heads` : ""
    const rows = [["contribution", line.contribution.toFixed(3)], ["survives to", line.survives.toFixed(3)]]
    if (many) {
      for (const { head, contribution } of line.heads.slice(0, 8)) {
        rows.push([`head ${head}`, contribution.toFixed(3)])
      }
      if (line.heads.length > 8) rows.push([`and ${line.heads.length - 8} more`, ""])
    }
    const between = line.kind === KIND.attn ? `${token(line.key)} → ${token(line.query)}` : token(line.query)
    return { title: `Layer ${line.layer} · ${KIND_NAME[line.kind]}${one}${many}`, tokens: between, rows }
  }
  const showTip = (thing, x, y) => {
    tip.hidden = !thing
    if (!thing) return
    const { title, tokens, rows } = describe(thing)
    tip.replaceChildren(box("title", title), box("tokens", tokens), ...rows.map(([name, value]) => {
      const row = box("row", "")
      const strong = document.createElement("b")
      strong.textContent = value
      row.append(box("", name), strong)
      return row
    }))
    const place = scroll.offsetTop + y
    const fits = place + 18 + tip.offsetHeight < graph.clientHeight
    tip.style.left = `${clamp(0, x + 16, graph.clientWidth - tip.offsetWidth - 4)}px`
    tip.style.top = `${fits ? place + 18 : Math.max(0, place - tip.offsetHeight - 12)}px`
    find(".spoken").textContent = `${title}, ${tokens}`
  }

  const under = (event) => {
    if (!layout) return [null, 0, 0]
    const frame = scroll.getBoundingClientRect()
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top]
    return [x < GUTTER - 6 ? null : pick(layout, scene, x + scroll.scrollLeft, y), x, y]
  }
  stage.addEventListener("mousemove", (event) => {
    const [thing, x, y] = under(event)
    hovered = thing
    stage.style.cursor = thing ? "pointer" : ""
    if (layout) paintMarks()
    showTip(thing, x, y)
  })
  stage.addEventListener("mouseleave", () => {
    hovered = null
    if (layout) paintMarks()
    showTip(null)
  })
  stage.addEventListener("click", (event) => {
    const [thing] = under(event)
    scroll.focus({ preventScroll: true })
    if (thing?.what === "token") setTarget(thing.position)
    else cursor = thing
    if (layout) paintMarks()
  })
  scroll.addEventListener("scroll", () => { showTip(null); later("paint") })
  slider.addEventListener("input", () => {
    // A pointer lands on whole steps; an address may hold any value.
    setThreshold(Math.round(slider.value / SLIDER_STEP) * SLIDER_STEP, 300)
  })
  slider.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key]
    if (!direction) return
    event.preventDefault()
    stepThreshold(direction)
  })

  const walk = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }
  scroll.addEventListener("keydown", (event) => {
    if (!layout) return
    const at = cursor?.what === "state" ? cursor : { what: "state", row: 0, position: target }
    if (walk[event.key]) {
      const [down, right] = cursor === at ? walk[event.key] : [0, 0]
      cursor = {
        what: "state",
        row: clamp(0, at.row + down, layout.states - 1),
        position: clamp(0, at.position + right, layout.positions - 1),
      }
      reveal(cursor.position)
      paintMarks()
      showTip(cursor, layout.x(cursor.position) - scroll.scrollLeft, layout.stateY(cursor.row))
    } else if (event.key === "Enter") {
      setTarget(at.position)
    } else if (event.key === "Escape") {
      cursor = null
      paintMarks()
      showTip(null)
    } else return
    event.preventDefault()
  })
  // The brackets work anywhere on the page but in a field.
  const brackets = (event) => {
    const direction = { "[": -1, "]": 1 }[event.key]
    const field = event.composedPath()[0]?.matches?.("input:not([type=range]), textarea, select")
    if (!direction || field || !scroll.clientWidth || event.ctrlKey || event.metaKey) return
    stepThreshold(direction)
  }
  window.addEventListener("keydown", brackets)

  for (const name of ["edges", "tokens", "predictions", "stored_targets", "layers", "lowest"]) {
    model.on(name, () => later("load"))
  }
  model.on("target", () => { if (model.target !== target) { target = model.target; later("route") } })
  model.on("threshold", () => { if (model.threshold !== threshold) { threshold = model.threshold; later("filter") } })
  model.on("dark", () => later("paint"))
  const watcher = new ResizeObserver(() => later("size"))
  watcher.observe(scroll)
  model.on("remove", () => { watcher.disconnect(); window.removeEventListener("keydown", brackets) })
  later("load")
}

function bufferOf(bytes) {
  if (bytes instanceof ArrayBuffer) return bytes
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
}

function monospaceOf(el) {
  return getComputedStyle(el).getPropertyValue("--fg-monospace") || "monospace"
}

function shorten(text) {
  const characters = [...text]
  return characters.length > 14 ? characters.slice(0, 13).join("") + "…" : text
}

function stateName(layout, row) {
  const layer = layout.layers - 1 - Math.floor(row / layout.steps)
  if (layer < 0) return "Embedding"
  if (layout.parallel) return `Layer ${layer} · after the block`
  return `Layer ${layer} · after ${row % 2 ? "attention" : "the FFN"}`
}

function box(name, text) {
  const element = document.createElement("div")
  element.className = name
  element.textContent = text
  return element
}
