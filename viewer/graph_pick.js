// What lies under a point of the drawing: a residual state, an FFN square or a line.

function pick(layout, scene, px, py) {
  return pickNode(layout, scene, px, py) ?? pickLine(layout, scene, px, py)
}

function pickNode(layout, scene, px, py) {
  let [found, nearest] = [null, 8]
  const closer = (distance, thing) => {
    if (distance < nearest) [nearest, found] = [distance, thing]
  }
  const column = Math.floor((px - GUTTER) / layout.columnWidth)
  const position = layout.range.positions[0] + column
  for (let row = layout.firstRow; row <= layout.lastRow; row++) {
    const y = stateY(layout, row)
    const place = { what: "state", row, position }
    if (Math.abs(y - py) < 8 && isLaidOut(layout, place)) {
      const distance = Math.hypot(xOf(layout, position) - px, y - py)
      const near = Math.min(4, layout.columnWidth / 8)
      if (scene.live[row][position] || distance < near) closer(distance, place)
    }
    if (row === layout.lastRow || Math.abs(squareY(layout, { row }) - py) > 10) continue
    for (const line of scene.byRow[row]) {
      if (line.kind !== KIND.ffn) continue
      const [x, y] = placeOf(layout, { what: "line", line })
      closer(Math.hypot(x - px, y - py) - 2, { what: "line", line })
    }
  }
  return found
}

function pickLine(layout, scene, px, py) {
  let [found, nearest] = [null, 6]
  for (let row = layout.firstRow; row < layout.lastRow; row++) {
    if (py < stateY(layout, row) - 6 || py > stateY(layout, row + 1) + 6) continue
    for (const line of scene.byRow[row]) {
      const curve = curveOf(layout, line)
      const across = [curve[0], curve[2], curve[4], curve[6]]
      const [left, right] = [Math.min(...across), Math.max(...across)]
      if (px < left - 6 || px > right + 6) continue
      // Lines come weakest first: of two as near, the stronger one, which lies on top.
      const distance = distanceToCurve(curve, px, py)
      if (distance <= nearest) [nearest, found] = [distance, { what: "line", line }]
    }
  }
  return found
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
