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
    const names = ["graph", "scroll", "sizer", "stage", "tip", "number", "count", "spoken"]
    for (const name of names) this[name] = el.querySelector(`.${name}`)
    this.slider = el.querySelector("input")
    ;[this.canvas, this.overlay] = this.stage.querySelectorAll("canvas")
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
    this.layout = null
  }

  route() {
    const { layers, parallel, tokens } = this.model
    const shape = { layers, parallel, positions: tokens.length, target: this.target }
    this.scene = { ...survivesAt(this.edges, shape), target: this.target }
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

  measure() {
    const c = this.canvas.getContext("2d")
    c.font = labelFont(this.graph, true)
    const widths = (texts) => texts.map((text) => c.measureText(text).width)
    const width = this.scroll.clientWidth
    this.layout = layoutOf({
      layers: this.model.layers,
      positions: this.model.tokens.length,
      parallel: this.model.parallel,
      width,
      height: Math.max(380, innerHeight - 330),
      labels: {
        tokens: widths(this.words.tokens),
        predictions: widths(this.words.predictions),
      },
    })
    const height = this.layout.totalHeight
    this.sizer.style.width = `${Math.max(this.layout.contentWidth, width)}px`
    for (const element of [this.stage, this.canvas, this.overlay]) {
      element.style.width = `${width}px`
      element.style.height = `${height}px`
    }
    for (const element of [this.canvas, this.overlay]) {
      element.width = Math.round(width * devicePixelRatio)
      element.height = Math.round(height * devicePixelRatio)
    }
  }

  paint() {
    if (!this.scroll.clientWidth) return
    if (!this.layout) this.measure()
    const { layout, scene, words } = this
    const [c, colour] = [this.clear(this.canvas), coloursOf(this.graph)]
    paintBands(c, colour, layout, this.scroll.clientWidth)
    this.inView(c, (range) => {
      paintLines(c, colour, layout, scene, range)
      paintNodes(c, colour, layout, scene, range)
      paintLabels(c, colour, layout, scene, words, range)
    })
    paintGutter(c, colour, layout)
    this.paintMarks()
    // For tests and for anyone who scripts the page.
    Object.assign(this.graph.dataset, {
      edges: scene.count, lines: scene.lines.length,
      target: this.target, threshold: this.threshold, columnWidth: layout.columnWidth,
    })
  }

  paintMarks() {
    const [c, colour] = [this.clear(this.overlay), coloursOf(this.graph)]
    this.inView(c, () => {
      for (const thing of [this.cursor, this.hovered]) {
        if (thing) paintMark(c, colour, this.layout, this.scene, thing)
      }
    })
  }

  clear(canvas) {
    const c = canvas.getContext("2d")
    c.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0)
    c.clearRect(0, 0, this.scroll.clientWidth, this.layout.totalHeight)
    c.lineCap = "round"
    return c
  }

  // Paint what is scrolled into view, right of the gutter: the canvas is as wide as the
  // window on it, so that a very long prompt costs no more memory than a short one.
  inView(c, paint) {
    const { scrollLeft, clientWidth } = this.scroll
    c.save()
    c.beginPath()
    c.rect(GUTTER - 6, 0, clientWidth, this.layout.totalHeight)
    c.clip()
    c.translate(-scrollLeft, 0)
    paint([scrollLeft, scrollLeft + clientWidth])
    c.restore()
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
    if (due.has("size")) this.layout = null
    if (anew) this.route()
    else if (due.has("filter")) this.filter()
    this.paint()
    if (anew) {
      this.showTip(null)
      this.reveal(this.target)
    }
  }

  reveal(position) {
    if (!this.layout) return
    const { scroll } = this
    const x = this.layout.x(position)
    if (x - 40 < scroll.scrollLeft + GUTTER) scroll.scrollLeft = x - GUTTER - 60
    const right = scroll.scrollLeft + scroll.clientWidth
    if (x + 110 > right) scroll.scrollLeft = x + 130 - scroll.clientWidth
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
    const start = this.cursor?.what !== "state"
    const { row, position } = start ? { row: 0, position: this.target } : this.cursor
    this.cursor = {
      what: "state",
      row: clamp(0, row + (start ? 0 : down), this.layout.states - 1),
      position: clamp(0, position + (start ? 0 : right), this.layout.positions - 1),
    }
    this.reveal(this.cursor.position)
    this.paintMarks()
    const x = this.layout.x(this.cursor.position) - this.scroll.scrollLeft
    this.showTip(this.cursor, x, this.layout.stateY(this.cursor.row))
  }

  // ---- pointer and keys

  listen() {
    const { stage, scroll, slider, model } = this
    stage.addEventListener("mousemove", (event) => this.onMove(event))
    stage.addEventListener("mouseleave", () => this.onLeave())
    stage.addEventListener("click", (event) => this.onClick(event))
    scroll.addEventListener("scroll", () => this.later("scroll"))
    scroll.addEventListener("keydown", (event) => this.onKey(event))
    slider.addEventListener("keydown", (event) => this.onSliderKey(event))
    slider.addEventListener("input", () =>
      this.setThreshold(Math.round(slider.value / SLIDER_STEP) * SLIDER_STEP))
    const brackets = (event) => this.onBracket(event)
    window.addEventListener("keydown", brackets)
    const watcher = new ResizeObserver(() => this.later("size"))
    watcher.observe(scroll)
    document.fonts.ready.then(() => this.later("size"))
    model.on("remove", () => {
      watcher.disconnect()
      window.removeEventListener("keydown", brackets)
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

  under(event) {
    const frame = this.scroll.getBoundingClientRect()
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top]
    if (x < GUTTER - 6) return [null, x, y]
    return [pick(this.layout, this.scene, x + this.scroll.scrollLeft, y), x, y]
  }

  onMove(event) {
    if (!this.layout) return
    const [thing, x, y] = this.under(event)
    this.hovered = thing
    this.stage.style.cursor = thing ? "pointer" : ""
    this.paintMarks()
    this.showTip(thing, x, y)
  }

  onLeave() {
    this.hovered = null
    this.showTip(null)
    if (this.layout) this.paintMarks()
  }

  onClick(event) {
    if (!this.layout) return
    const [thing] = this.under(event)
    this.scroll.focus({ preventScroll: true })
    if (thing?.what === "token") this.setTarget(thing.position)
    else this.cursor = thing
    this.paintMarks()
  }

  onKey(event) {
    if (!this.layout) return
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
    if (!direction || event.ctrlKey || event.metaKey || !this.scroll.clientWidth) return
    if (!event.composedPath()[0]?.matches?.(field)) this.stepThreshold(direction)
  }

  showTip(thing, x, y) {
    this.tip.hidden = true
    if (!thing) return
    const { tokens, predictions, probabilities } = this.model
    const { layout, scene } = this
    const said = describe(thing, { layout, scene, tokens, predictions, probabilities })
    placeTip(this.tip, this.graph, said, x, this.scroll.offsetTop + y)
    this.spoken.textContent = `${said.title}, ${said.tokens}`
  }
}

export function render({ model, el }) {
  new GraphView(model, el)
}
