// The tooltip: what it says of the thing under the pointer (a title, its tokens, rows of
// name and value), and where it stands. Set as text, for tokens are other people's.

const KIND_NAME = ["attention", "residual", "FFN"]
const MOST_HEADS = 8

function shorten(text) {
  const characters = [...text]
  return characters.length > 14 ? characters.slice(0, 13).join("") + "…" : text
}

function stateName(layout, row) {
  const layer = layout.layers - 1 - Math.floor(row / layout.steps)
  if (layer < 0) return "Embedding"
  if (layout.parallel) return `Layer ${layer} · after the block`
  return `Layer ${layer} · after ${row % 2 ? "attention" : "the FFN"}`
}

function describe(thing, { layout, scene, tokens, predictions, probabilities }) {
  const token = (position) => `${tokens[position]} (${position})`
  if (thing.what === "token") {
    const share = (100 * probabilities[thing.position]).toFixed(1)
    const predicted = `${predictions[thing.position]}  ${share} %`
    return { title: "Token", tokens: token(thing.position), rows: [["predicts", predicted]] }
  }
  if (thing.what === "state") {
    const reach = scene.reach[thing.row][thing.position]
    const upTo = Number.isFinite(reach) ? reach.toFixed(3) : "any threshold"
    return {
      title: stateName(layout, thing.row),
      tokens: token(thing.position),
      rows: [["in the route up to", upTo]],
    }
  }
  return describeLine(thing.line, token)
}

function describeLine(line, token) {
  const { heads } = line
  const rows = [
    ["contribution", line.contribution.toFixed(3)],
    ["survives to", line.survives.toFixed(3)],
  ]
  let who = ""
  if (heads.length === 1) who = `, head ${heads[0].head}`
  if (heads.length > 1) {
    who = `, ${heads.length} heads`
    for (const { head, contribution } of heads.slice(0, MOST_HEADS)) {
      rows.push([`head ${head}`, contribution.toFixed(3)])
    }
    if (heads.length > MOST_HEADS) rows.push([`and ${heads.length - MOST_HEADS} more`, ""])
  }
  const moves = line.kind === KIND.attn
  return {
    title: `Layer ${line.layer} · ${KIND_NAME[line.kind]}${who}`,
    tokens: moves ? `${token(line.key)} → ${token(line.query)}` : token(line.query),
    rows,
  }
}

// Fill the tooltip and put it beside (x, y) of the graph, inside it.
function placeTip(tip, graph, said, x, y) {
  tip.hidden = false
  tip.replaceChildren(
    element("div", "title", said.title),
    element("div", "tokens", said.tokens),
    ...said.rows.map(([name, value]) => {
      const row = element("div", "row", "")
      row.append(element("span", "", name), element("b", "", value))
      return row
    }),
  )
  const below = y + 18 + tip.offsetHeight < graph.clientHeight
  tip.style.left = `${clamp(0, x + 16, graph.clientWidth - tip.offsetWidth - 4)}px`
  tip.style.top = `${below ? y + 18 : Math.max(0, y - tip.offsetHeight - 12)}px`
}

function element(tag, className, text) {
  const made = document.createElement(tag)
  made.className = className
  made.textContent = text
  return made
}
