// The route of a target, in the browser: the same pass as store/routes.py, so that a new
// target or threshold needs no server. Pure functions; tests run them against Python.
//
// Packed edges: u32 count, then count values each of f32 contribution, i32 query,
// i32 key, i16 layer, i16 head (-1: none), u8 step, u8 kind. Codes as in route_graph.py.

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

// survives_at of every edge for one target, and the reach of every residual state.
// reach[s][p]: the state at position p that step s writes to, steps counted from the top;
// the last row is the embedding. One walk from the top down: an edge survives to the
// smaller of its contribution and its destination's reach.
function survivesAt(edges, { layers, parallel, positions, target }) {
  const steps = parallel ? [STEP.block] : [STEP.ffn, STEP.attn]
  const rowOf = (layer, step) => (layers - 1 - layer) * steps.length + steps.indexOf(step)
  const rows = Array.from({ length: layers * steps.length }, () => [])
  for (let i = 0; i < edges.count; i++) rows[rowOf(edges.layer[i], edges.step[i])].push(i)

  const survives = new Float64Array(edges.count)
  const reach = [new Float64Array(positions)]
  reach[0][target] = Infinity
  rows.forEach((row, s) => {
    const below = new Float64Array(positions)
    for (const i of row) {
      const value = Math.min(edges.contribution[i], reach[s][edges.query[i]])
      survives[i] = value
      if (value > below[edges.key[i]]) below[edges.key[i]] = value
    }
    reach.push(below)
  })
  return { survives, reach, rowOf }
}

// The lines to draw: edges above the threshold (strictly, per head), those between the
// same two states summed into one line. Weakest first, so that strong lines lie on top.
function linesOf(edges, survives, threshold) {
  const lines = new Map()
  let count = 0
  for (let i = 0; i < edges.count; i++) {
    if (!(survives[i] > threshold)) continue
    count++
    const [layer, step, kind] = [edges.layer[i], edges.step[i], edges.kind[i]]
    const [query, key] = [edges.query[i], edges.key[i]]
    const name = (((layer * 3 + step) * 3 + kind) * 2 ** 17 + query) * 2 ** 17 + key
    let line = lines.get(name)
    if (!line) {
      line = { layer, step, kind, query, key, contribution: 0, survives: 0, heads: [] }
      lines.set(name, line)
    }
    line.contribution += edges.contribution[i]
    line.survives = Math.max(line.survives, survives[i])
    if (kind === KIND.attn) {
      line.heads.push({ head: edges.head[i], contribution: edges.contribution[i] })
    }
  }
  const sorted = [...lines.values()].sort((a, b) => a.contribution - b.contribution)
  for (const line of sorted) line.heads.sort((a, b) => b.contribution - a.contribution)
  return { lines: sorted, count }
}
