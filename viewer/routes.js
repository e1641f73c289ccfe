// The route of a target, in the browser: the same pass as store/routes.py, so that a new
// target or threshold needs no server. Pure functions; tests run them against Python.
//
// Packed edges: u32 count, then count values each of f32 contribution, i32 query,
// i32 key, i16 layer, i16 head (-1: none), u8 step, u8 kind. Codes as in route_graph.py.
//
// A shape is { layers, parallel, positions }. Rows count the states from the top down: row
// s is what step s writes to, row s + 1 what it reads; the last row is the embedding.

const STEP = { attn: 0, ffn: 1, block: 2 }
const KIND = { attn: 0, resid: 1, ffn: 2 }

function unpackEdges(bytes) {
  const count = new DataView(bytes).getUint32(0, true)
  let offset = 4
  const take = (Type) => {
    const end = offset + count * Type.BYTES_PER_ELEMENT
    const values = new Type(bytes.slice(offset, end))
    offset = end
    return values
  }
  return {
    count,
    contribution: take(Float32Array),
    query: take(Int32Array),
    key: take(Int32Array),
    layer: take(Int16Array),
    head: take(Int16Array),
    step: take(Uint8Array),
    kind: take(Uint8Array),
  }
}

function stepsOf({ parallel }) {
  return parallel ? [STEP.block] : [STEP.ffn, STEP.attn]
}

function rowOf(shape, layer, step) {
  const steps = stepsOf(shape)
  return (shape.layers - 1 - layer) * steps.length + steps.indexOf(step)
}

const rowsOf = (edges, shape) =>
  Int32Array.from(edges.layer, (layer, i) => rowOf(shape, layer, edges.step[i]))

// survives_at and row of every edge for one target, and the reach of every residual state:
// reach[row][position]. One walk from the top down: an edge survives to the smaller of its
// contribution and its destination's reach.
function survivesAt(edges, shape, target) {
  const row = rowsOf(edges, shape)
  const rows = Array.from({ length: shape.layers * stepsOf(shape).length }, () => [])
  for (let i = 0; i < edges.count; i++) rows[row[i]].push(i)

  const survives = new Float64Array(edges.count)
  const reach = [new Float64Array(shape.positions)]
  reach[0][target] = Infinity
  rows.forEach((found, s) => {
    const below = new Float64Array(shape.positions)
    for (const i of found) {
      const value = Math.min(edges.contribution[i], reach[s][edges.query[i]])
      survives[i] = value
      if (value > below[edges.key[i]]) below[edges.key[i]] = value
    }
    reach.push(below)
  })
  return { survives, reach, row }
}

// The edges above the threshold (strictly, per head); of these at most `strongest`.
function keptEdges(edges, { survives, row }, { threshold, strongest }) {
  const kept = []
  for (let i = 0; i < edges.count; i++) if (survives[i] > threshold) kept.push(i)
  if (!strongest || kept.length <= strongest) return { kept, surviving: kept.length }
  // What an edge flows into survives as long as it does, often to the same number: of
  // equals the upper goes first, so that no edge is kept without its way to the target.
  kept.sort((a, b) => survives[b] - survives[a] || row[a] - row[b] ||
    edges.contribution[b] - edges.contribution[a])
  return { kept: kept.slice(0, strongest), surviving: kept.length }
}

// The lines to draw: kept edges, those between the same two states summed into one line,
// weakest first, so that strong lines lie on top. A line's `share` is its part of all that
// is kept into the same state; its `weight` is what its width shows.
function linesOf(edges, route, { threshold, strongest = null, renormalise = false }) {
  const { kept, surviving } = keptEdges(edges, route, { threshold, strongest })
  const positions = route.reach[0].length
  const into = new Map() // all that is kept, by state
  const lines = new Map()
  for (const i of kept) {
    const [row, kind] = [route.row[i], edges.kind[i]]
    const [query, key] = [edges.query[i], edges.key[i]]
    const state = row * positions + query
    const name = (state * positions + key) * 3 + kind
    let line = lines.get(name)
    if (!line) {
      line = { layer: edges.layer[i], step: edges.step[i], kind, row, query, key, state,
        contribution: 0, survives: 0, heads: [] }
      lines.set(name, line)
    }
    const contribution = edges.contribution[i]
    line.contribution += contribution
    line.survives = Math.max(line.survives, route.survives[i])
    into.set(state, (into.get(state) ?? 0) + contribution)
    if (kind === KIND.attn) line.heads.push({ head: edges.head[i], contribution })
  }
  const sorted = [...lines.values()]
  for (const line of sorted) {
    line.share = line.contribution / into.get(line.state)
    line.weight = renormalise ? line.share : line.contribution
    line.heads.sort((a, b) => b.contribution - a.contribution)
  }
  sorted.sort((a, b) => a.weight - b.weight)
  return { lines: sorted, count: kept.length, surviving }
}

// The lines by the row they write to, and the states they touch: live[row][position].
function netOf(lines, reach, target) {
  const byRow = reach.slice(1).map(() => [])
  const live = reach.map((states) => new Uint8Array(states.length))
  live[0][target] = 1
  for (const line of lines) {
    byRow[line.row].push(line)
    live[line.row + 1][line.key] = 1
  }
  return { byRow, live }
}

// All lines and states on a way through a line or a state, from the target down.
function pathsThrough({ byRow, live }, thing) {
  const on = live.map((states) => new Uint8Array(states.length))
  const lines = []
  const isLine = thing.what === "line"
  const [upper, query] = isLine
    ? [thing.line.row, thing.line.query] : [thing.row, thing.position]
  const [lower, key] = isLine ? [upper + 1, thing.line.key] : [upper, query]
  if (isLine) lines.push(thing.line)
  on[upper][query] = 1
  on[lower][key] = 1
  for (let row = upper - 1; row >= 0; row--) {
    for (const line of byRow[row]) {
      if (!on[row + 1][line.key]) continue
      on[row][line.query] = 1
      lines.push(line)
    }
  }
  for (let row = lower; row < byRow.length; row++) {
    for (const line of byRow[row]) {
      if (!on[row][line.query]) continue
      on[row + 1][line.key] = 1
      lines.push(line)
    }
  }
  return { lines, live: on }
}
