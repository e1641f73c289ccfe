// What is selected, by the name that the address bar holds (selection.py): attn-LAYER-
// QUERY-KEY, ffn-LAYER-POSITION, mid- or post-LAYER-POSITION, embed-POSITION.
//
// A thing is { what: "state", row, position }, { what: "line", line } or { what: "token",
// position }. A residual line is named after the state it leads to.

function nameOf(shape, thing) {
  if (thing?.what === "line") {
    const { layer, kind, row, query, key } = thing.line
    if (kind === KIND.attn) return `attn-${layer}-${query}-${key}`
    if (kind === KIND.ffn) return `ffn-${layer}-${query}`
    return nameOf(shape, { what: "state", row, position: query })
  }
  if (thing?.what !== "state") return ""
  const steps = stepsOf(shape).length
  const layer = shape.layers - 1 - Math.floor(thing.row / steps)
  if (layer < 0) return `embed-${thing.position}`
  return `${thing.row % steps ? "mid" : "post"}-${layer}-${thing.position}`
}

// The thing of a name, null if the model or the prompt has no such place. An edge that is
// not drawn now is a line without strength, marked `gone`.
function thingOf(shape, name, byRow) {
  const [what, ...numbers] = name.split("-")
  const places = numbers.map(Number)
  const layer = what === "embed" ? 0 : places.shift()
  const [position, key = position] = places
  const before = shape.anyOrder ? key < shape.positions : key <= position
  const fits = layer < shape.layers && position < shape.positions && before
  if (!name || !fits) return null
  const steps = stepsOf(shape)
  const state = (row) => ({ what: "state", row, position })
  if (what === "embed") return state(shape.layers * steps.length)
  if (what === "post") return state(rowOf(shape, layer, steps[0]))
  if (what === "mid") return shape.parallel ? null : state(rowOf(shape, layer, STEP.attn))
  const kind = KIND[what]
  const step = shape.parallel ? STEP.block : STEP[what]
  const row = rowOf(shape, layer, step)
  const same = (line) => line.kind === kind && line.query === position && line.key === key
  const gone = { layer, step, kind, row, query: position, key, weight: 0, gone: true }
  return { what: "line", line: byRow[row].find(same) ?? gone }
}

// "2-5" as [2, 5], within what there is; all of it if the text says nothing.
function rangeOf(text, count) {
  const [from, to] = text ? text.split("-").map(Number) : [0, count - 1]
  const last = clamp(0, to, count - 1)
  return [clamp(0, from, last), last]
}

function rangeText([from, to], count) {
  return from === 0 && to === count - 1 ? "" : `${from}-${to}`
}
