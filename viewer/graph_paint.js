// Painting the route graph on a canvas, or on whatever has a canvas's strokes and fills
// (graph_svg.js). A view is the part that is seen: { left, top, width, height }.

const FONT = "Roboto, system-ui, sans-serif"

// The page's colours and monospace font, read once.
function inkOf(el) {
  const style = getComputedStyle(el)
  const known = new Map()
  const read = (name) => style.getPropertyValue(`--fg-${name}`).trim()
  const colour = (name) => {
    if (!known.has(name)) known.set(name, read(name) || "#888")
    return known.get(name)
  }
  const family = read("monospace") || "monospace"
  return { colour, labelFont: (bold) => `${bold ? "bold " : ""}12.5px ${family}` }
}

const LEVELS = 10
const KIND_COLOUR = ["attn", "resid", "ffn"]

// How strong a line looks, from 0 to 1. Residual contributions are mostly near 1, the
// others seldom above 0.4.
function strengthOf({ kind, weight }) {
  return Math.min(1, weight / (kind === KIND.resid ? 1 : 0.4))
}

// Width and opacity. A residual line must not drown the rest, so its width grows less;
// in low rows all lines are thinner.
function strokeOf(layout, kind, strength) {
  const fine = clamp(0.3, layout.rowHeight / 44, 1)
  if (kind === KIND.resid) {
    return { width: fine * (0.9 + 1.7 * strength), alpha: 0.3 + 0.5 * strength }
  }
  const width = Math.max(0.6, fine * (0.9 + 4.1 * strength))
  return { width, alpha: 0.38 + 0.57 * Math.sqrt(strength) }
}

function trace(c, [x0, y0, x1, y1, x2, y2, x3, y3]) {
  c.moveTo(x0, y0)
  c.bezierCurveTo(x1, y1, x2, y2, x3, y3)
}

// The graph but for its lines: bands, labels, layers.
function paintGround(c, ink, layout, scene, words, view) {
  inBody(c, layout, view, { gutter: true }, () => paintBands(c, ink, layout, view))
  c.save()
  c.beginPath()
  c.rect(GUTTER - 6, 0, view.width - GUTTER + 6, view.height)
  c.clip()
  c.translate(-view.left, 0)
  paintLabels(c, ink, layout, scene, words, view)
  c.restore()
  paintGutter(c, ink, layout, words, view)
}

// Paint what is scrolled into view, between the labels. Cut at whole pixels: a canvas
// takes twice as long to cut between them.
function inBody(c, layout, view, { gutter = false }, paint) {
  const left = gutter ? 0 : GUTTER - 6
  const right = gutter ? view.width : Math.min(view.width, layout.right - view.left)
  c.save()
  c.beginPath()
  c.rect(left, layout.top, Math.ceil(right) - left, view.height - layout.top - layout.bottom)
  c.clip()
  c.translate(gutter ? 0 : -view.left, -view.top)
  paint()
  c.restore()
}

// Lines in a few levels of strength, one path for each: thousands stroke in one frame.
function paintLines(c, ink, layout, lines, view) {
  const levels = KIND_COLOUR.map(() => Array.from({ length: LEVELS }, () => []))
  for (const line of lines) {
    if (!isLineLaidOut(layout, line)) continue
    const [left, right] = [Math.min(line.key, line.query), Math.max(line.key, line.query)]
    if (xOf(layout, right) < view.left + GUTTER - 30) continue
    if (xOf(layout, left) > view.left + view.width + 30) continue
    if (stateY(layout, line.row + 1) < view.top + layout.top) continue
    if (stateY(layout, line.row) > view.top + view.height - layout.bottom) continue
    levels[line.kind][Math.round((LEVELS - 1) * strengthOf(line))].push(line)
  }
  for (const kind of [KIND.resid, KIND.ffn, KIND.attn]) {
    c.strokeStyle = ink.colour(KIND_COLOUR[kind])
    levels[kind].forEach((found, level) => {
      if (!found.length) return
      const stroke = strokeOf(layout, kind, level / (LEVELS - 1))
      c.lineWidth = stroke.width
      c.globalAlpha = stroke.alpha
      c.beginPath()
      for (const line of found) trace(c, curveOf(layout, line))
      c.stroke()
    })
  }
  c.globalAlpha = 1
}

// States by live[row][position]: a dot, the target's larger, a point where nothing flows.
function paintStates(c, ink, layout, { live, target }, view, { idle }) {
  const [dots, points] = [[], []]
  for (let row = layout.firstRow; row <= layout.lastRow; row++) {
    const y = stateY(layout, row)
    if (y < view.top + layout.top - 9 || y > view.top + view.height) continue
    for (let p = layout.range.positions[0]; p <= layout.range.positions[1]; p++) {
      const x = xOf(layout, p)
      if (x < view.left || x > view.left + view.width) continue
      if (live[row][p]) dots.push([x, y])
      else if (idle) points.push([x, y])
    }
  }
  if (layout.rowHeight > 9) {
    c.beginPath()
    for (const [x, y] of points) c.rect(x - 0.8, y - 0.8, 1.6, 1.6)
    c.fillStyle = ink.colour("faint")
    c.fill()
  }
  c.beginPath()
  for (const [x, y] of dots) circle(c, x, y, layout.dot)
  c.lineWidth = layout.dot < 1.8 ? 0.7 : 1.2
  c.fillStyle = ink.colour("node")
  c.strokeStyle = ink.colour("muted")
  c.fill()
  c.stroke()
  if (layout.firstRow > 0 || !live[0][target]) return
  c.beginPath()
  circle(c, xOf(layout, target), stateY(layout, 0), layout.dot + 1.6)
  c.fillStyle = ink.colour("target")
  c.fill()
}

function circle(c, x, y, radius) {
  c.moveTo(x + radius, y)
  c.arc(x, y, radius, 0, 2 * Math.PI)
}

function paintSquares(c, ink, layout, lines, view) {
  c.beginPath()
  for (const line of lines) {
    if (line.kind !== KIND.ffn || !isLineLaidOut(layout, line)) continue
    const [x, y] = placeOf(layout, { what: "line", line })
    if (x < view.left || x > view.left + view.width) continue
    const half = halfSquare(layout, line)
    c.rect(x - half, y - half, 2 * half, 2 * half)
  }
  c.fillStyle = ink.colour("ffn")
  c.strokeStyle = ink.colour("surface")
  c.lineWidth = layout.square < 3 ? 0.4 : 1
  c.fill()
  c.stroke()
}

function halfSquare(layout, { weight }) {
  return layout.square * (0.4 + 0.6 * Math.sqrt(Math.min(1, weight)))
}
