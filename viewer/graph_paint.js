// Painting the route graph on a canvas. Colours are the page's custom properties.

function coloursOf(el) {
  const style = getComputedStyle(el)
  return (name) => style.getPropertyValue(`--fg-${name}`).trim() || "#888"
}

function labelFont(el, bold) {
  const family = getComputedStyle(el).getPropertyValue("--fg-monospace") || "monospace"
  return `${bold ? "bold " : ""}12.5px ${family}`
}

const LEVELS = 10
const KIND_COLOUR = ["attn", "resid", "ffn"]

// How strong a line looks, from 0 to 1. Residual contributions are mostly near 1, the
// others seldom above 0.4.
function strengthOf(line) {
  return Math.min(1, line.contribution / (line.kind === KIND.resid ? 1 : 0.4))
}

// Width and opacity. A residual line must not drown the rest, so its width grows less;
// in low rows all lines are thinner.
function strokeOf(layout, kind, strength) {
  const fine = clamp(0.45, layout.rowHeight / 44, 1)
  if (kind === KIND.resid) {
    return { width: fine * (0.9 + 1.7 * strength), alpha: 0.3 + 0.5 * strength }
  }
  const width = Math.max(0.8, fine * (0.9 + 4.1 * strength))
  return { width, alpha: 0.38 + 0.57 * Math.sqrt(strength) }
}

function trace(path, [x0, y0, x1, y1, x2, y2, x3, y3]) {
  path.moveTo(x0, y0)
  path.bezierCurveTo(x1, y1, x2, y2, x3, y3)
}

// Lines in a few levels of strength, one path for each: thousands stroke in one frame.
function paintLines(c, colour, layout, scene, [from, to]) {
  for (const kind of [KIND.resid, KIND.ffn, KIND.attn]) {
    const paths = Array.from({ length: LEVELS }, () => null)
    for (const line of scene.lines) {
      if (line.kind !== kind) continue
      if (layout.x(line.query) < from || layout.x(line.key) > to) continue
      const level = Math.round((LEVELS - 1) * strengthOf(line))
      trace((paths[level] ??= new Path2D()), curveOf(layout, line))
    }
    c.strokeStyle = colour(KIND_COLOUR[kind])
    paths.forEach((path, level) => {
      if (!path) return
      const stroke = strokeOf(layout, kind, level / (LEVELS - 1))
      c.lineWidth = stroke.width
      c.globalAlpha = stroke.alpha
      c.stroke(path)
    })
  }
  c.globalAlpha = 1
}

function paintNodes(c, colour, layout, scene, [from, to]) {
  const [live, idle] = [new Path2D(), new Path2D()]
  for (let p = 0; p < layout.positions; p++) {
    const x = layout.x(p)
    if (x < from || x > to) continue
    for (let s = 0; s < layout.states; s++) {
      const y = layout.stateY(s)
      if (!(scene.reach[s][p] > scene.threshold)) {
        idle.rect(x - 0.8, y - 0.8, 1.6, 1.6)
      } else if (s > 0 || p !== scene.target) {
        live.moveTo(x + layout.dot, y)
        live.arc(x, y, layout.dot, 0, 7)
      }
    }
  }
  c.fillStyle = colour("faint")
  c.fill(idle)
  c.lineWidth = 1.2
  c.fillStyle = colour("node")
  c.strokeStyle = colour("muted")
  c.fill(live)
  c.stroke(live)
  paintSquares(c, colour, layout, scene, [from, to])
  const [x, y] = [layout.x(scene.target), layout.stateY(0)]
  c.beginPath()
  c.arc(x, y, layout.dot + 1.6, 0, 7)
  c.fillStyle = colour("target")
  c.fill()
}

function paintSquares(c, colour, layout, scene, [from, to]) {
  const squares = new Path2D()
  for (const line of scene.lines) {
    if (line.kind !== KIND.ffn) continue
    const [x, y] = [squareX(layout, line.key), squareY(layout, line)]
    if (x < from || x > to) continue
    const half = layout.square * (0.4 + 0.6 * Math.sqrt(Math.min(1, line.contribution)))
    squares.rect(x - half, y - half, 2 * half, 2 * half)
  }
  c.fillStyle = colour("ffn")
  c.strokeStyle = colour("surface")
  c.lineWidth = 1
  c.fill(squares)
  c.stroke(squares)
}

function paintBands(c, colour, layout, width) {
  c.fillStyle = colour("raised")
  for (let layer = layout.layers - 1; layer >= 0; layer -= 2) {
    const y = layout.rowBottom(layer) - layout.rowHeight
    c.fillRect(0, y, width, layout.rowHeight)
  }
}

function paintGutter(c, colour, layout) {
  c.fillStyle = colour("muted")
  c.textAlign = "right"
  c.textBaseline = "middle"
  c.font = `12px ${FONT}`
  const every = layout.rowHeight < 15 ? 2 : 1
  for (let layer = 0; layer < layout.layers; layer += every) {
    const y = layout.rowBottom(layer) - layout.rowHeight / 2
    c.fillText(`L${layer}`, GUTTER - 16, y)
  }
  c.fillText("embed", GUTTER - 16, layout.stateY(layout.states - 1))
  c.font = `11px ${FONT}`
  c.fillText("predicts", GUTTER - 12, layout.top - 20)
  c.fillText("token", GUTTER - 12, layout.floor + 14)
}

function paintLabels(c, colour, layout, scene, words, [from, to]) {
  c.textBaseline = "middle"
  const fonts = [labelFont(c.canvas, false), labelFont(c.canvas, true)]
  for (let p = 0; p < layout.positions; p++) {
    const x = layout.x(p)
    if (x < from - LABEL_SPAN || x > to) continue
    const live = scene.reach[layout.states - 1][p] > scene.threshold
    const chosen = p === scene.target
    c.font = fonts[Number(chosen)]
    c.fillStyle = colour(live || chosen ? "text" : "muted")
    c.globalAlpha = chosen || live ? 1 : 0.62
    label(c, layout, words.tokens[p], x, layout.floor + 14, 1)
    c.fillStyle = colour(chosen ? "text" : "muted")
    c.globalAlpha = chosen ? 1 : 0.8
    label(c, layout, words.predictions[p], x, layout.top - 20, -1)
    c.globalAlpha = 1
    marker(c, colour, x, layout.top - 7, chosen, words.stored.has(p))
  }
}

// A word at a column: level where all fit, else slanting away from the graph.
function label(c, layout, text, x, y, direction) {
  c.save()
  c.translate(x, y)
  if (!layout.flat) c.rotate(direction * SLANT)
  c.textAlign = layout.flat ? "center" : "left"
  c.fillText(text, 0, 0)
  c.restore()
}

// The handle above a column: filled where a target is chosen, outlined where one is
// stored, faint elsewhere.
function marker(c, colour, x, y, chosen, stored) {
  c.beginPath()
  c.moveTo(x - 5, y - 4)
  c.lineTo(x + 5, y - 4)
  c.lineTo(x, y + 4)
  c.closePath()
  c.fillStyle = colour(chosen ? "target" : stored ? "surface" : "line")
  c.fill()
  if (stored || chosen) {
    c.lineWidth = 1.4
    c.strokeStyle = colour("target")
    c.stroke()
  }
}

// What the pointer or the keyboard is on, and the lines that touch it.
function paintMark(c, colour, layout, scene, thing) {
  c.strokeStyle = colour("target")
  c.fillStyle = colour("target")
  const strong = (line) => {
    c.lineWidth = strokeOf(layout, line.kind, strengthOf(line)).width + 1.5
    c.beginPath()
    trace(c, curveOf(layout, line))
    c.stroke()
  }
  if (thing.what === "token") {
    c.globalAlpha = 0.1
    const left = layout.x(thing.position) - layout.columnWidth / 2
    c.fillRect(left, layout.top - 14, layout.columnWidth, layout.floor - layout.top + 14)
    c.globalAlpha = 1
  } else if (thing.what === "line") {
    strong(thing.line)
  } else {
    c.globalAlpha = 0.75
    scene.lines.filter((line) => touches(layout, line, thing)).forEach(strong)
    c.globalAlpha = 1
    c.beginPath()
    c.arc(layout.x(thing.position), layout.stateY(thing.row), layout.dot + 2, 0, 7)
    c.fill()
  }
}

function touches(layout, line, state) {
  const row = rowOfStep(layout, line.layer, line.step)
  const arrives = row === state.row && line.query === state.position
  return arrives || (row + 1 === state.row && line.key === state.position)
}
