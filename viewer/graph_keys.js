// The keyboard on the route graph: a cursor that walks states and edges, and what can be
// done where it is. The cursor is a thing (graph_names.js).

const ARROWS = {
  ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
}
const ZOOM_KEYS = { "+": "in", "=": "in", "-": "out", 0: "fit" }

// What a key does to a view; true if it means anything.
function pressKey(view, { key, shiftKey, ctrlKey, metaKey, altKey }) {
  if (ctrlKey || metaKey || altKey) return false
  const { cursor } = view
  const letter = key.length === 1 ? key.toLowerCase() : key
  if (ARROWS[key]) view.moveTo(walked(view, ARROWS[key]))
  else if (letter === "e") view.moveTo(nextEdge(view, shiftKey ? -1 : 1))
  else if (key === "Enter" && cursor) view.select(cursor)
  else if (letter === "t" && cursor) view.set("target", endOf(cursor).position)
  else if (key === "Escape") view.clear()
  else if (ZOOM_KEYS[letter]) view.zoom(ZOOM_KEYS[letter])
  else return false
  return true
}

// The state a thing is at, or leads to.
function endOf(thing) {
  const { line } = thing
  return line ? { what: "state", row: line.row, position: line.query } : thing
}

// Where the cursor begins: at what is selected, else at the target.
function startOf({ chosen, stage: { layout }, state }) {
  if (chosen && isShown(layout, chosen)) return chosen
  return within(layout, { what: "state", row: layout.firstRow, position: state.target })
}

function within({ range, firstRow, lastRow }, { row, position }) {
  const [first, last] = range.positions
  return {
    what: "state",
    row: clamp(firstRow, row, lastRow),
    position: clamp(first, position, last),
  }
}

// One step: from state to state; from an edge up or down to its ends, or sideways to the
// other edges into the same state.
function walked(view, [down, right]) {
  const { cursor, stage: { layout } } = view
  if (!cursor) return startOf(view)
  const { line, row, position } = cursor
  if (!line) return within(layout, { row: row + down, position: position + right })
  if (right) return nextEdge(view, right)
  if (down < 0) return within(layout, endOf(cursor))
  return within(layout, { row: line.row + 1, position: line.key })
}

// The next of the edges into the cursor's state, the strongest first.
function nextEdge(view, direction) {
  const cursor = view.cursor ?? startOf(view)
  const { row, position } = endOf(cursor)
  const into = (view.scene.byRow[row] ?? []).filter((line) =>
    line.query === position && line.kind !== KIND.resid).reverse()
  if (!into.length) return cursor
  const at = into.indexOf(cursor.line)
  const next = at < 0 ? (direction > 0 ? 0 : into.length - 1) : at + direction
  return { what: "line", line: into[(next + into.length) % into.length] }
}
