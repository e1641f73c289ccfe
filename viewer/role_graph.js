// The graph of many routes at once: columns are roles of positions, a line stands for all
// edges of a layer, step and kind between two roles. Its width is what it brings where it
// is there; the slider asks how often it is there. The route graph's files come first.
//
// `figures`: for every packed edge, one column after the other as f8: FIGURES.
// `notes`: for every column rows of name and value, for its tooltip.

const FIGURES = ["frequency", "low", "high", "targets", "bringsLow", "bringsHigh"]
const FREQUENCY_STEP = 0.05
const JUST_BELOW = 1e-9 // lines at the least frequency are drawn too

const ROLE_SAYS = {
  label: "Graph of roles",
  level: "Least frequency",
  levelHint: "Only what is in the routes of at least so many targets is drawn",
  mostHint: "the most frequent",
  highest: 1,
  legend: SWATCHES.filter(([name]) => name !== "traced"),
  hint: `Click an edge, dot or square to see its heads and prompts that have it. Drag pans,
    Ctrl and wheel zoom, the strips draw only a part.`,
  keys: [
    ["← ↑ → ↓", "walk"], ["E", "edges into a state"], ["Enter", "select"],
    ["Esc", "clear"], ["[ ]", "least frequency"], ["+ − 0", "zoom"],
  ],
}

const percent = (share) => `${(100 * share).toFixed(0)} %`

class RoleView extends GraphView {
  constructor(model, el) {
    super(model, el)
    this.switch.closest("label").remove() // shares of means are no shares
    for (const name of ["figures", "notes"]) model.on(name, () => this.later("load"))
  }

  get says() {
    return ROLE_SAYS
  }

  get step() {
    return FREQUENCY_STEP
  }

  levelText(level) {
    return percent(level)
  }

  get drawn() {
    return { ...this.state, threshold: this.state.threshold - JUST_BELOW }
  }

  // A column may stand left of another whose positions sometimes come before it.
  get shape() {
    return { ...super.shape, anyOrder: true }
  }

  load() {
    super.load()
    Object.assign(this.words, { above: "mostly", below: "role" })
    const { count } = this.edges
    this.figures = Object.fromEntries(FIGURES.map((name, column) =>
      [name, new Float64Array(this.model.figures, 8 * column * count, count)]))
  }

  // An edge "survives" as far as it is frequent; it need not hang together with others.
  route() {
    const { edges, shape, figures } = this
    const rows = shape.layers * stepsOf(shape).length + 1
    this.scene = {
      survives: figures.frequency,
      row: rowsOf(edges, shape),
      reach: Array.from({ length: rows }, () => new Float64Array(shape.positions)),
      target: this.state.target,
    }
    this.places = new Map()
    for (let i = 0; i < edges.count; i++) {
      this.places.set(placeName(this.scene.row[i], edges.kind[i], edges.query[i],
        edges.key[i]), i)
    }
    this.cursor = null
  }

  filter() {
    super.filter()
    const { lines, live } = this.scene
    for (const { row, query } of lines) live[row][query] = 1
  }

  // The target is the last role, whatever is clicked.
  set(name, value) {
    if (name !== "target") super.set(name, value)
  }

  point(thing, x, y) {
    super.point(thing, x, y)
    if (thing?.what === "token") this.stage.surface.style.cursor = ""
  }

  describe(thing) {
    const { tokens, notes } = this.model
    const { shape, scene } = this
    if (thing.what === "line") return this.describeLine(thing.line)
    const said = { tokens: tokens[thing.position], rows: notes[thing.position], heads: [] }
    if (thing.what === "token") return { ...said, title: "Role" }
    const into = scene.byRow[thing.row] ?? []
    const drawn = into.filter(({ query }) => query === thing.position).length
    const rows = [["edges into it, as drawn", String(drawn)]]
    return { ...said, title: stateName(shape, thing.row), rows }
  }

  describeLine({ layer, row, kind, query, key, contribution, gone }) {
    const { tokens } = this.model
    const said = {
      title: `Layer ${layer} · ${KIND_NAME[kind]}`,
      tokens: kind === KIND.attn ? `${tokens[key]} → ${tokens[query]}` : tokens[query],
      heads: [],
    }
    if (gone) return { ...said, rows: [["not in the graph as it is now", ""]] }
    const i = this.places.get(placeName(row, kind, query, key))
    const [share, low, high, targets, bringsLow, bringsHigh] =
      FIGURES.map((name) => this.figures[name][i])
    const rows = [
      ["in the routes of", `${percent(share)} of ${grouped(targets)} targets`],
      ["95% interval", `${percent(low)} to ${percent(high)}`],
      ["contribution there", contribution.toFixed(3)],
    ]
    if (!Number.isNaN(bringsLow)) {
      rows.push(["95% interval", `${bringsLow.toFixed(3)} to ${bringsHigh.toFixed(3)}`])
    }
    return { ...said, rows }
  }
}

const placeName = (...numbers) => numbers.join()

export function render({ model, el }) {
  new RoleView(model, el)
}
