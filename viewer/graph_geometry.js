// Where everything of the route graph lies, in pixels of the whole (scrolled) drawing.
// Columns are tokens, rows are layers, the top layer above. Only a range of layers and of
// positions is laid out; what leads out of it ends beyond the edge and is cut there.

const GUTTER = 62 // layer labels; stays in place when a long prompt scrolls
const SLANT = (48 * Math.PI) / 180
const LABEL_SPAN = 116 // a longer token is cut
const MARGIN = 12 // right of the last column
const NARROW = 15 // columns below this leave out labels
const COLUMN = { least: 22, most: 112, zoomed: 280 }
const ROW = { least: 16, most: 104, zoomed: 260 }

// Heights inside a layer's row, from its bottom (0) to its top (1): attention rises
// through the lower part, the FFN hangs between the two residual states.
const MID_AT = 0.36
const POST_AT = 0.82
const READ_AT = 0.34 // below the rows: what the lowest layer reads
const BELOW = 0.54 // the part of a row that this takes

const clamp = (low, value, high) => Math.max(low, Math.min(high, value))

// What stays as it is while the ranges change, so that nothing jumps under the hand: the
// room for labels, and the window's height, from what it should and may be. In whole pixels.
function frameOf({ shape, labels, room }) {
  const { flat, tail } = columnsOf(labels, shape.positions, room.width - GUTTER - MARGIN)
  const span = (widths) => (flat ? 18 : Math.ceil(widest(widths) * Math.sin(SLANT)) + 10)
  const [top, bottom] = [span(labels.predictions) + 22, span(labels.tokens) + 14]
  const rows = shape.layers + BELOW
  const rowHeight = clamp(ROW.least, (room.height - top - bottom) / rows, ROW.most)
  const height = Math.min(Math.round(top + bottom + rows * rowHeight), room.most)
  return { top, bottom, height, tail: tail + MARGIN }
}

// `range`: the first and last layer and position laid out; `labels`: the widths of their
// tokens and predictions; `zoom`: 1 as it comes, less down to where all fits the window.
function layoutOf({ shape, range, labels, width, frame, zoom }) {
  const [first, last] = range.positions
  const [lowest, highest] = range.layers
  const [columns, rows] = [last - first + 1, highest - lowest + 1 + BELOW]
  const { flat, tail, fit } = columnsOf(labels, columns, width - GUTTER - MARGIN)
  const base = clamp(COLUMN.least, fit, COLUMN.most)
  const columnWidth = clamp(Math.min(fit, base), base * zoom, COLUMN.zoomed)

  const { top, bottom, height } = frame
  const fitting = (height - top - bottom) / rows
  const fair = Math.max(ROW.least, fitting)
  const rowHeight = Math.max(fitting, Math.min(fair * zoom, ROW.zoomed))

  const steps = stepsOf(shape).length
  const upperRow = (layer) => (shape.layers - 1 - layer) * steps
  return {
    ...shape, range, steps, flat, columnWidth, rowHeight, top, bottom, height, zoom,
    firstRow: upperRow(highest), lastRow: upperRow(lowest - 1),
    floor: top + rows * rowHeight,
    right: GUTTER + columns * columnWidth,
    contentWidth: GUTTER + columns * columnWidth + tail + MARGIN,
    totalHeight: top + rows * rowHeight + bottom,
    leastZoom: Math.min(1, fit / base, fitting / fair),
    labelEvery: Math.ceil(NARROW / columnWidth),
    dot: clamp(1.1, Math.min(columnWidth * 0.09, rowHeight * 0.11), 5.5),
    square: clamp(1.5, Math.min(columnWidth * 0.15, rowHeight * 0.16), 9),
  }
}

const widest = (widths) => Math.min(LABEL_SPAN, Math.max(24, ...widths))

// Whether the labels lie flat, how far slanting ones reach out of the last column, and
// the width of a column with which all fit.
function columnsOf(labels, columns, room) {
  const roomiest = clamp(COLUMN.least, room / columns, COLUMN.most)
  const flat = widest([...labels.tokens, ...labels.predictions]) + 14 <= roomiest
  const reach = labels.tokens.map((width, column) => {
    const label = Math.min(LABEL_SPAN, Math.max(width, labels.predictions[column]))
    return label * Math.cos(SLANT) - (columns - column - 0.5) * roomiest
  })
  const tail = flat ? 0 : Math.max(0, ...reach)
  return { flat, tail, fit: (room - tail) / columns }
}

function xOf(layout, position) {
  return GUTTER + (position - layout.range.positions[0] + 0.5) * layout.columnWidth
}

function rowBottom(layout, layer) {
  return layout.top + (layout.range.layers[1] + 1 - layer) * layout.rowHeight
}

function stateY(layout, row) {
  const layer = layout.layers - 1 - Math.floor(row / layout.steps)
  const bottom = rowBottom(layout, layer)
  if (row >= layout.lastRow) return bottom - (1 - READ_AT) * layout.rowHeight
  return bottom - (row % layout.steps ? MID_AT : POST_AT) * layout.rowHeight
}

function isLaidOut({ range, firstRow, lastRow }, { row, position }) {
  const [first, last] = range.positions
  return row >= firstRow && row <= lastRow && position >= first && position <= last
}

// Whether any of a line lies between the first and the last column; its row must too.
function isLineLaidOut({ range, firstRow, lastRow }, { row, query, key }) {
  const [first, last] = range.positions
  const [left, right] = [Math.min(key, query), Math.max(key, query)]
  return row >= firstRow && row < lastRow && right >= first && left <= last
}

// A line as a cubic Bézier curve: eight numbers. Residual lines are straight, an FFN's
// swings out to its square, attention to the own token swings out to the other side.
function curveOf(layout, line) {
  const [x0, y0] = [xOf(layout, line.key), stateY(layout, line.row + 1)]
  const [x1, y1] = [xOf(layout, line.query), stateY(layout, line.row)]
  const rise = y1 - y0
  if (line.kind === KIND.attn && line.key !== line.query) {
    const reach = clamp(-90, (x1 - x0) * 0.42, 90)
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
  return xOf(layout, position) + offset
}

function squareY(layout, { row }) {
  return (stateY(layout, row) + stateY(layout, row + 1)) / 2
}

// Where a thing is pointed at: a state's dot, an FFN's square, the middle of a line.
function placeOf(layout, thing) {
  const { line, row, position } = thing
  if (!line) return [xOf(layout, position), stateY(layout, row)]
  if (line.kind === KIND.ffn) return [squareX(layout, line.key), squareY(layout, line)]
  return pointOn(curveOf(layout, line), 0.5)
}

function pointOn([x0, y0, x1, y1, x2, y2, x3, y3], t) {
  const [a, b, c, d] = [(1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t * t, t ** 3]
  return [a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3]
}
