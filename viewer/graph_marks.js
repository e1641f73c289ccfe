// What lies over the graph: the paths through the thing under the pointer or the keyboard
// cursor, the rest being dimmed, and the lasting mark of what is selected.

// The part of the scene that stays bright while a thing is pointed at, null for all of it.
function brightPart(scene, thing) {
  if (!thing || thing.what === "token") return null
  if (thing.what === "state" && !scene.live[thing.row][thing.position]) return null
  if (thing.line?.gone) return null
  return { ...pathsThrough(scene, thing), target: scene.target }
}

function paintScene(c, ink, layout, part, view, { idle }) {
  inBody(c, layout, view, {}, () => {
    paintLines(c, ink, layout, part.lines, view)
    paintStates(c, ink, layout, part, view, { idle })
    paintSquares(c, ink, layout, part.lines, view)
  })
}

function paintPointed(c, ink, layout, thing, view) {
  const colour = ink.colour("target")
  c.strokeStyle = colour
  c.fillStyle = colour
  if (thing.what === "token") {
    paintColumn(c, layout, thing.position, view)
  } else if (isShown(layout, thing)) {
    inBody(c, layout, view, {}, () => paintTouched(c, layout, thing))
  }
}

function paintColumn(c, layout, position, view) {
  const left = xOf(layout, position) - layout.columnWidth / 2 - view.left
  const from = Math.max(left, GUTTER - 6)
  c.globalAlpha = 0.12
  const height = view.height - layout.top - layout.bottom + 14
  c.fillRect(from, layout.top - 14, left + layout.columnWidth - from, height)
  c.globalAlpha = 1
}

function paintTouched(c, layout, thing) {
  const [x, y] = placeOf(layout, thing)
  c.beginPath()
  if (thing.what === "state") {
    circle(c, x, y, layout.dot + 2)
    c.fill()
    return
  }
  const { line } = thing
  c.lineWidth = strokeOf(layout, line.kind, strengthOf(line)).width + 1.5
  trace(c, curveOf(layout, line))
  c.stroke()
  if (line.kind !== KIND.ffn) return
  const half = halfSquare(layout, line) + 1
  c.fillRect(x - half, y - half, 2 * half, 2 * half)
}

// Selected: a casing in the accent colour, around a line, a ring around a dot or square;
// dashed while the threshold hides the line.
function paintSelected(c, ink, layout, thing, view) {
  if (!thing || !isShown(layout, thing)) return
  inBody(c, layout, view, {}, () => {
    c.strokeStyle = ink.colour("accent")
    if (thing.what === "line") caseLine(c, ink, layout, thing.line)
    else ring(c, placeOf(layout, thing), layout.dot + 4)
  })
}

function caseLine(c, ink, layout, line) {
  const curve = curveOf(layout, line)
  const { width } = strokeOf(layout, line.kind, strengthOf(line))
  const stroke = (colour, lineWidth) => {
    c.strokeStyle = ink.colour(colour)
    c.lineWidth = lineWidth
    c.beginPath()
    trace(c, curve)
    c.stroke()
  }
  if (line.gone) {
    c.setLineDash([5, 5])
    stroke("accent", 1.8)
    c.setLineDash([])
    return
  }
  stroke("accent", width + 6.5)
  stroke("surface", width + 2.5)
  stroke(KIND_COLOUR[line.kind], width)
  c.beginPath()
  circle(c, curve[0], curve[1], layout.dot)
  circle(c, curve[6], curve[7], layout.dot)
  c.fillStyle = ink.colour("node")
  c.strokeStyle = ink.colour("accent")
  c.lineWidth = 1.6
  c.fill()
  c.stroke()
  if (line.kind !== KIND.ffn) return
  const [x, y] = placeOf(layout, { what: "line", line })
  for (const [colour, more] of [["accent", 4], ["surface", 2], ["ffn", 0]]) {
    const half = halfSquare(layout, line) + more
    c.fillStyle = ink.colour(colour)
    c.fillRect(x - half, y - half, 2 * half, 2 * half)
  }
}

function ring(c, [x, y], radius) {
  c.lineWidth = 2.2
  c.beginPath()
  circle(c, x, y, radius)
  c.stroke()
}

function isShown(layout, thing) {
  const { line } = thing
  return line ? isLineLaidOut(layout, line) : isLaidOut(layout, thing)
}
