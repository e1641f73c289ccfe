// The tooltip: what it says of the thing under the pointer (a title, its tokens, rows of
// name and value), and where it stands. Set as text, for tokens are other people's.

const KIND_NAME = ["attention", "residual", "FFN"]
const HEADS_IN_COLUMN = 8

function shorten(text) {
  const characters = [...text]
  return characters.length > 14 ? characters.slice(0, 13).join("") + "…" : text
}

function stateName(shape, row) {
  const steps = stepsOf(shape).length
  const layer = shape.layers - 1 - Math.floor(row / steps)
  if (layer < 0) return "Embedding"
  if (shape.parallel) return `Layer ${layer} · after the block`
  return `Layer ${layer} · after ${row % 2 ? "attention" : "the FFN"}`
}

function describe(thing, { shape, scene, tokens, predictions, probabilities }) {
  const token = (position) => `${tokens[position]} (${position})`
  if (thing.what === "token") {
    const share = (100 * probabilities[thing.position]).toFixed(1)
    const predicted = `${predictions[thing.position]}  ${share} %`
    const rows = [["predicts", predicted]]
    return { title: "Token", tokens: token(thing.position), rows, heads: [] }
  }
  if (thing.what === "state") {
    const reach = scene.reach[thing.row][thing.position]
    const upTo = Number.isFinite(reach) ? reach.toFixed(3) : "any threshold"
    return {
      title: stateName(shape, thing.row),
      tokens: token(thing.position),
      rows: [reach ? ["in the route up to", upTo] : ["in no route to the target", ""]],
      heads: [],
    }
  }
  return describeLine(thing.line, token)
}

// One line may stand for several heads; each is named with what it brings.
function describeLine(line, token) {
  const { heads = [] } = line
  const moves = line.kind === KIND.attn
  let who = ""
  if (heads.length === 1) who = `, head ${heads[0].head}`
  if (heads.length > 1) who = `, ${heads.length} heads`
  const rows = line.gone ? [["not in the graph as it is now", ""]] : [
    ["contribution", line.contribution.toFixed(3)],
    ["share of what is left here", `${(100 * line.share).toFixed(0)} %`],
    ["survives to", line.survives.toFixed(3)],
  ]
  const named = heads.map(({ head, contribution }) =>
    [`head ${head}`, contribution.toFixed(3)])
  return {
    title: `Layer ${line.layer} · ${KIND_NAME[line.kind]}${who}`,
    tokens: moves ? `${token(line.key)} → ${token(line.query)}` : token(line.query),
    rows,
    heads: heads.length > 1 ? named : [],
  }
}

// The same as one sentence, for those who hear it.
function spoken({ title, tokens, rows, heads }) {
  return [title, tokens, ...[...rows, ...heads].map((row) => row.join(" "))].join(", ")
}

// Fill the tooltip and put it beside (x, y) of the graph, inside it.
function placeTip(tip, graph, said, x, y) {
  tip.hidden = false
  const heads = element("div", "heads", "")
  const columns = Math.ceil(said.heads.length / HEADS_IN_COLUMN)
  heads.style.columnCount = Math.max(1, columns)
  heads.append(...said.heads.map(tipRow))
  tip.replaceChildren(
    element("div", "title", said.title),
    element("div", "tokens", said.tokens),
    ...said.rows.map(tipRow),
    ...(said.heads.length ? [heads] : []),
  )
  const below = y + 18 + tip.offsetHeight < graph.clientHeight
  const beside = x + 16 + tip.offsetWidth < graph.clientWidth
  const left = beside ? x + 16 : x - 16 - tip.offsetWidth
  tip.style.left = `${Math.max(0, left)}px`
  tip.style.top = `${below ? y + 18 : Math.max(0, y - tip.offsetHeight - 12)}px`
}

function tipRow([name, value]) {
  const row = element("div", "row", "")
  row.append(element("span", "", name), element("b", "", value))
  return row
}

function element(tag, className, text) {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}
