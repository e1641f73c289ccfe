// The words around the graph: bands and names of the layers, tokens below, predictions
// above, and the handle of each column.

function paintBands(c, ink, layout, view) {
  c.fillStyle = ink.colour("raised")
  for (let layer = layout.layers - 1; layer >= 0; layer -= 2) {
    const y = rowBottom(layout, layer) - layout.rowHeight
    const [lowest, highest] = layout.range.layers
    if (layer >= lowest && layer <= highest) c.fillRect(0, y, view.width, layout.rowHeight)
  }
}

// Names of the layers, which scroll up and down only.
function paintGutter(c, ink, layout, words, view) {
  const [lowest, highest] = layout.range.layers
  const every = [1, 2, 5, 10, 20, 50].find((step) => step * layout.rowHeight >= 14) ?? 100
  c.fillStyle = ink.colour("muted")
  c.textAlign = "right"
  c.textBaseline = "middle"
  c.font = `12px ${FONT}`
  inBody(c, layout, view, { gutter: true }, () => {
    for (let layer = lowest; layer <= highest; layer++) {
      const y = rowBottom(layout, layer) - layout.rowHeight / 2
      if (layer % every === 0) c.fillText(`L${layer}`, GUTTER - 16, y)
    }
    if (every > 1) return
    const read = lowest ? `L${lowest - 1}` : "embed"
    c.fillText(read, GUTTER - 16, stateY(layout, layout.lastRow))
  })
  c.font = `11px ${FONT}`
  c.fillText(words.above, GUTTER - 12, layout.top - 20)
  c.fillText(words.below, GUTTER - 12, view.height - layout.bottom + 14)
}

// Names of the columns, which scroll sideways only.
function paintLabels(c, ink, layout, scene, words, view) {
  c.textBaseline = "middle"
  const fonts = [ink.labelFont(false), ink.labelFont(true)]
  const ground = view.height - layout.bottom + 14
  for (let p = layout.range.positions[0]; p <= layout.range.positions[1]; p++) {
    const x = xOf(layout, p)
    if (x < view.left - LABEL_SPAN || x > view.left + view.width) continue
    const chosen = p === scene.target
    if (!chosen && !isLabelled(layout, p, scene.target)) continue
    const live = chosen || scene.live[layout.lastRow][p]
    c.font = fonts[Number(chosen)]
    c.fillStyle = ink.colour(live ? "text" : "muted")
    c.globalAlpha = live ? 1 : 0.62
    label(c, layout, words.tokens[p], x, ground, 1)
    c.fillStyle = ink.colour(chosen ? "text" : "muted")
    c.globalAlpha = chosen ? 1 : 0.8
    label(c, layout, words.predictions[p], x, layout.top - 20, -1)
    c.globalAlpha = 1
    marker(c, ink, x, layout.top - 7, chosen, words.stored.has(p))
  }
  paintAway(c, ink, layout, scene.target)
}

// A target that is not laid out: an arrow says on which side it is.
function paintAway(c, ink, layout, target) {
  const [first, last] = layout.range.positions
  if (target >= first && target <= last) return
  const side = target < first ? -1 : 1
  const x = target < first ? GUTTER + 5 : layout.right - 5
  c.beginPath()
  c.moveTo(x - 4 * side, layout.top - 12)
  c.lineTo(x + 4 * side, layout.top - 7)
  c.lineTo(x - 4 * side, layout.top - 2)
  c.fillStyle = ink.colour("target")
  c.fill()
}

// Narrow columns: one in so many has a label, none too near to the target's.
function isLabelled({ labelEvery }, position, target) {
  const near = Math.abs(position - target) < labelEvery
  return labelEvery === 1 || (position % labelEvery === 0 && !near)
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
function marker(c, ink, x, y, chosen, stored) {
  c.beginPath()
  c.moveTo(x - 5, y - 4)
  c.lineTo(x + 5, y - 4)
  c.lineTo(x, y + 4)
  c.lineTo(x - 5, y - 4)
  c.fillStyle = ink.colour(chosen ? "target" : stored ? "surface" : "line")
  c.fill()
  if (stored || chosen) {
    c.lineWidth = 1.4
    c.strokeStyle = ink.colour("target")
    c.stroke()
  }
}
