// Where everything of the route graph lies, in pixels of the whole (scrolled) drawing,
// and what lies under a point. Columns are tokens, rows are layers, the top layer above.

const GUTTER = 62 // layer labels; stays in place when a long prompt scrolls
const SLANT = (48 * Math.PI) / 180
const LABEL_SPAN = 116 // a longer token is cut

// Heights inside a layer's row, from its bottom (0) to its top (1): attention rises
// through the lower part, the FFN hangs between the two residual states.
const MID_AT = 0.36
const POST_AT = 0.82

const clamp = (low, value, high) => Math.max(low, Math.min(high, value))

// `labels`: the measured widths of the tokens and of the predictions.
function layoutOf({ layers, positions, parallel, width, height, labels }) {
  const room = width - GUTTER - 12
  const roomiest = columnWidthOf(room, positions)
  const widest = (widths) => Math.min(LABEL_SPAN, Math.max(24, ...widths))
  const flat = widest([...labels.tokens, ...labels.predictions]) + 14 <= roomiest
  const tail = flat ? 0 : tailOf(labels, positions, roomiest)
  const columnWidth = columnWidthOf(room - tail, positions)
  const span = (widths) => (flat ? 18 : widest(widths) * Math.sin(SLANT) + 10)
  const top = span(labels.predictions) + 22
  const bottom = span(labels.tokens) + 14
  const rowHeight = clamp(16, (height - top - bottom) / (layers + 0.5), 104)

  const x = (position) => GUTTER + (position + 0.5) * columnWidth
  const rowBottom = (layer) => top + (layers - layer) * rowHeight
  const post = (layer) => rowBottom(layer) - POST_AT * rowHeight
  const mid = (layer) => rowBottom(layer) - MID_AT * rowHeight
  const embed = rowBottom(0) + 0.34 * rowHeight
  const steps = parallel ? 1 : 2
  // The state that row s of the walk writes to; the last row is the embedding.
  const stateY = (s) => {
    const layer = layers - 1 - Math.floor(s / steps)
    return layer < 0 ? embed : s % steps ? mid(layer) : post(layer)
  }
  return {
    layers, positions, parallel, steps, flat, columnWidth, rowHeight, top, x, rowBottom,
    stateY, states: layers * steps + 1,
    floor: embed + 0.2 * rowHeight,
    contentWidth: GUTTER + positions * columnWidth + tail + 12,
    totalHeight: embed + 0.2 * rowHeight + bottom,
    dot: clamp(1.9, Math.min(columnWidth * 0.09, rowHeight * 0.11), 4.6),
    square: clamp(2.6, Math.min(columnWidth * 0.15, rowHeight * 0.16), 7.5),
  }
}

function columnWidthOf(room, positions) {
  return clamp(22, room / positions, 112)
}

// How far slanting labels reach out of the last column.
function tailOf({ tokens, predictions }, positions, columnWidth) {
  const reach = tokens.map((width, p) => {
    const label = Math.min(LABEL_SPAN, Math.max(width, predictions[p]))
    return label * Math.cos(SLANT) - (positions - p - 0.5) * columnWidth
  })
  return Math.max(0, ...reach)
}

// The walk's row of a (layer, step): 0 is the topmost.
function rowOfStep(layout, layer, step) {
  return (layout.layers - 1 - layer) * layout.steps + (step === STEP.attn ? 1 : 0)
}

// A line as a cubic Bézier curve: eight numbers. Residual lines are straight, an FFN's
// swings out to its square, attention to the own token swings out to the other side.
function curveOf(layout, line) {
  const row = rowOfStep(layout, line.layer, line.step)
  const [x0, y0] = [layout.x(line.key), layout.stateY(row + 1)]
  const [x1, y1] = [layout.x(line.query), layout.stateY(row)]
  const rise = y1 - y0
  if (line.kind === KIND.attn && line.key !== line.query) {
    const reach = Math.min(90, (x1 - x0) * 0.42)
    return [x0, y0, x0 + reach, y0 + rise * 0.22, x1 - reach, y1 - rise * 0.22, x1, y1]
  }
  let swing = 0
  if (line.kind === KIND.ffn) swing = (squareX(layout, line.key) - x0) * (4 / 3)
  if (line.kind === KIND.attn) {
    swing = -Math.min(16, layout.columnWidth * 0.24, layout.rowHeight * 0.45) * (4 / 3)
  }
  return [x0, y0, x0 + swing, y0 + rise * 0.25, x0 + swing, y0 + rise * 0.75, x1, y1]
}

function squareX(layout, position) {
  const offset = Math.min(26, layout.columnWidth * 0.27, layout.rowHeight * 0.6)
  return layout.x(position) + offset
}

function squareY(layout, line) {
  const row = rowOfStep(layout, line.layer, line.step)
  return (layout.stateY(row) + layout.stateY(row + 1)) / 2
}

function pointOn([x0, y0, x1, y1, x2, y2, x3, y3], t) {
  const [a, b, c, d] = [(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t * t, t ** 3]
  return [a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3]
}

function distanceToCurve(curve, px, py) {
  let best = Infinity
  let [ax, ay] = [curve[0], curve[1]]
  for (let k = 1; k <= 14; k++) {
    const [bx, by] = pointOn(curve, k / 14)
    const [ux, uy] = [bx - ax, by - ay]
    const along = ((px - ax) * ux + (py - ay) * uy) / (ux * ux + uy * uy || 1)
    const t = clamp(0, along, 1)
    best = Math.min(best, Math.hypot(ax + t * ux - px, ay + t * uy - py))
    ;[ax, ay] = [bx, by]
  }
  return best
}

// What is under a point: a token's label, a residual state, an FFN square or a line.
function pick(layout, scene, px, py) {
  const position = Math.floor((px - GUTTER) / layout.columnWidth)
  const inside = position >= 0 && position < layout.positions
  if (inside && (py < layout.top - 4 || py > layout.floor)) {
    return { what: "token", position }
  }
  let found = null
  let nearest = 8
  const closer = (distance, thing) => {
    if (distance < nearest) [nearest, found] = [distance, thing]
  }
  if (inside) {
    for (let s = 0; s < layout.states; s++) {
      const distance = Math.hypot(layout.x(position) - px, layout.stateY(s) - py)
      const live = scene.reach[s][position] > scene.threshold
      if (live || distance < 4) closer(distance, { what: "state", row: s, position })
    }
  }
  for (const line of scene.lines) {
    if (line.kind !== KIND.ffn) continue
    const [dx, dy] = [squareX(layout, line.key) - px, squareY(layout, line) - py]
    closer(Math.hypot(dx, dy) - 2, { what: "line", line })
  }
  if (found) return found
  nearest = 6
  for (const line of scene.lines) {
    const curve = curveOf(layout, line)
    const [low, high] = [Math.min(curve[1], curve[7]), Math.max(curve[1], curve[7])]
    if (py < low - 6 || py > high + 6) continue
    const [left, right] = [Math.min(curve[0], curve[2]), Math.max(curve[6], curve[4])]
    if (px < left - 6 || px > right + 6) continue
    // Lines come weakest first: of two as near, the stronger one, which lies on top.
    const distance = distanceToCurve(curve, px, py)
    if (distance <= nearest) [nearest, found] = [distance, { what: "line", line }]
  }
  return found
}
