// The route graph: threshold, hover, keyboard and target, all without the server.
// Python sends packed edges and tokens; it hears the chosen target at once, and the
// threshold when the slider rests. The other graph files come before this one.

const SLIDER_STEP = 0.005
const SETTLED_MS = 300
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }

class GraphView {
  constructor(model, el) {
    el.innerHTML = MARKUP
    this.model = model
    const names = ["graph", "tip", "number", "count", "spoken"]
    for (const name of names) this[name] = el.querySelector(`.${name}`)
    this.slider = el.querySelector("input")
    this.stage = new Stage(this.graph)
    this.target = model.target
    this.threshold = model.threshold
    this.hovered = null // under the pointer
    this.cursor = null // chosen by a click or the arrow keys
    this.due = new Set()
    this.listen()
    this.later("load")
  }

  // ---- from the model to the screen

  load() {
    const { model } = this
    this.edges = unpackEdges(model.edges)
    this.words = {
      tokens: model.tokens.map(shorten),
      predictions: model.predictions.map(shorten),
      stored: new Set(model.stored_targets),
    }
    this.target = model.target
    this.threshold = model.threshold
    this.slider.min = model.lowest
    this.stage.layout = null
  }

  shape() {
    const { layers, parallel, tokens } = this.model
    return { layers, parallel, positions: tokens.length }
  }

  route() {
    const { edges, target } = this
    this.scene = { ...survivesAt(edges, { ...this.shape(), target }), target }
    this.cursor = null
    this.filter()
  }

  filter() {
    const { scene, threshold } = this
    Object.assign(scene, linesOf(this.edges, scene.survives, threshold), { threshold })
    this.hovered = null
    if (this.cursor?.what === "line") this.cursor = null
    this.slider.value = threshold
    this.number.textContent = threshold.toFixed(3)
    this.count.textContent = `${scene.count} ${scene.count === 1 ? "edge" : "edges"}`
  }

  paint() {
    const { graph, scene, stage, words } = this
    if (!stage.visible) return
    if (!stage.layout) stage.measure({ ...this.shape(), ...words })
    stage.paint(scene, words)
    this.paintMarks()
    // For tests and for anyone who scripts the page.
    Object.assign(graph.dataset, {
      edges: scene.count, lines: scene.lines.length, target: this.target,
      threshold: this.threshold, columnWidth: stage.layout.columnWidth,
    })
  }

  paintMarks() {
    const marked = [this.cursor, this.hovered].filter((thing) => thing)
    this.stage.paintMarks(this.scene, marked)
  }

  // Changes of several parameters arrive one by one: act once they are all here.
  later(...what) {
    if (!this.due.size) requestAnimationFrame(() => this.act())
    for (const each of what) this.due.add(each)
  }

  act() {
    const due = new Set(this.due)
    this.due.clear()
    if (!this.model.tokens.length) return
    const anew = due.has("load") || due.has("route")
    if (due.has("load")) this.load()
    if (due.has("size")) this.stage.layout = null
    if (anew) this.route()
    else if (due.has("filter")) this.filter()
    this.paint()
    if (anew) {
      this.showTip(null)
      if (this.stage.layout) this.stage.reveal(this.target)
    }
  }

  // ---- what the reader changes

  setThreshold(value) {
    const rounded = Math.round(value * 1e4) / 1e4
    this.threshold = clamp(this.model.lowest, rounded, MAX_THRESHOLD)
    this.later("filter")
    clearTimeout(this.settling)
    this.settling = setTimeout(() => { this.model.threshold = this.threshold }, SETTLED_MS)
  }

  // To the next whole step: an address may hold any value between two.
  stepThreshold(direction) {
    const steps = this.threshold / SLIDER_STEP
    const up = Math.floor(steps + 1 + 1e-9)
    const down = Math.ceil(steps - 1 - 1e-9)
    this.setThreshold((direction > 0 ? up : down) * SLIDER_STEP)
  }

  setTarget(position) {
    if (position === this.target) return
    this.target = position
    this.later("route")
    this.model.target = position
  }

  walk([down, right]) {
    const { layout } = this.stage
    const start = this.cursor?.what !== "state"
    const { row, position } = start ? { row: 0, position: this.target } : this.cursor
    this.cursor = {
      what: "state",
      row: clamp(0, row + (start ? 0 : down), layout.states - 1),
      position: clamp(0, position + (start ? 0 : right), layout.positions - 1),
    }
    this.stage.reveal(this.cursor.position)
    this.paintMarks()
    this.showTip(this.cursor, ...this.stage.placeOf(this.cursor))
  }

  // ---- pointer and keys

  listen() {
    const { slider, model } = this
    const { surface, scroll } = this.stage
    surface.addEventListener("mousemove", (event) => this.onMove(event))
    surface.addEventListener("mouseleave", () => this.onLeave())
    surface.addEventListener("click", (event) => this.onClick(event))
    scroll.addEventListener("scroll", () => this.later("scroll"))
    scroll.addEventListener("keydown", (event) => this.onKey(event))
    slider.addEventListener("keydown", (event) => this.onSliderKey(event))
    slider.addEventListener("input", () =>
      this.setThreshold(Math.round(slider.value / SLIDER_STEP) * SLIDER_STEP))
    const brackets = (event) => this.onBracket(event)
    window.addEventListener("keydown", brackets)
    // Back, before the slider has rested: the address says the threshold.
    const settled = () => clearTimeout(this.settling)
    window.addEventListener("popstate", settled)
    const watcher = new ResizeObserver(() => this.later("size"))
    watcher.observe(scroll)
    document.fonts.ready.then(() => this.later("size"))
    model.on("remove", () => {
      watcher.disconnect()
      window.removeEventListener("keydown", brackets)
      window.removeEventListener("popstate", settled)
    })
    for (const name of ["edges", "tokens", "predictions", "stored_targets", "layers"]) {
      model.on(name, () => this.later("load"))
    }
    model.on("dark", () => this.later("colours"))
    model.on("target", () => {
      if (model.target !== this.target) this.later("route")
      this.target = model.target
    })
    model.on("threshold", () => {
      if (model.threshold !== this.threshold) this.later("filter")
      this.threshold = model.threshold
    })
  }

  onMove(event) {
    if (!this.stage.layout) return
    const [thing, x, y] = this.stage.under(event, this.scene)
    this.hovered = thing
    this.stage.surface.style.cursor = thing ? "pointer" : ""
    this.paintMarks()
    this.showTip(thing, x, y)
  }

  onLeave() {
    this.hovered = null
    this.showTip(null)
    if (this.stage.layout) this.paintMarks()
  }

  onClick(event) {
    if (!this.stage.layout) return
    const [thing] = this.stage.under(event, this.scene)
    this.stage.scroll.focus({ preventScroll: true })
    if (thing?.what === "token") this.setTarget(thing.position)
    else this.cursor = thing
    this.paintMarks()
  }

  onKey(event) {
    if (!this.stage.layout) return
    if (ARROWS[event.key]) this.walk(ARROWS[event.key])
    else if (event.key === "Enter" && this.cursor?.what === "state") {
      this.setTarget(this.cursor.position)
    } else if (event.key === "Escape") {
      this.cursor = null
      this.onLeave()
    } else return
    event.preventDefault()
  }

  onSliderKey(event) {
    const arrow = ARROWS[event.key]
    if (!arrow) return
    event.preventDefault()
    this.stepThreshold(arrow[1] - arrow[0])
  }

  // The brackets work anywhere on the page but in a field.
  onBracket(event) {
    const direction = { "[": -1, "]": 1 }[event.key]
    const field = "input:not([type=range]), textarea, select"
    if (!direction || event.ctrlKey || event.metaKey || !this.stage.visible) return
    if (!event.composedPath()[0]?.matches?.(field)) this.stepThreshold(direction)
  }

  showTip(thing, x, y) {
    this.tip.hidden = true
    if (!thing) return
    const { tokens, predictions, probabilities } = this.model
    const { scene, stage } = this
    const { layout, scroll } = stage
    const said = describe(thing, { layout, scene, tokens, predictions, probabilities })
    placeTip(this.tip, this.graph, said, x, scroll.offsetTop + y)
    this.spoken.textContent = `${said.title}, ${said.tokens}`
  }
}

export function render({ model, el }) {
  new GraphView(model, el)
}
