// The route graph: threshold, hover, selection, keyboard and target, without the server.
// Python sends packed edges and tokens; what the reader changes it hears at once, or when
// the hand rests. The other graph files come before this one.

const SLIDER_STEP = 0.005
const SETTLED_MS = 300
const ZOOM_STEP = 1.25

// What Python and the reader both change, and what has to be done anew when it changes.
const SETTINGS = {
  target: "route", threshold: "filter", strongest: "filter", renormalise: "filter",
  layers: "range", positions: "range", selected: "marks",
}
const SETTLING = new Set(["threshold", "strongest", "layers", "positions"])
const GIVEN = ["edges", "tokens", "predictions", "stored_targets", "n_layers", "parallel"]

class GraphView {
  constructor(model, el) {
    el.innerHTML = markupOf(this.says)
    this.model = model
    const find = (name) => el.querySelector(`.${name}`)
    const names = ["graph", "tip", "number", "count", "spoken"]
    for (const name of names) this[name] = find(name)
    this.slider = find("threshold")
    this.most = find("strongest")
    this.switch = find("renormalise")
    this.stage = new Stage(this.graph)
    const brush = (name, noun, root) => new Brush(root, {
      noun, upright: name === "layers",
      onChange: (range) => this.set(name, rangeText(range, this.countOf(name))),
    })
    this.brushes = {
      layers: brush("layers", "layer", find("upright")),
      positions: brush("positions", "position", find("along")),
    }
    this.state = {} // the settings, as they are shown
    this.settling = {}
    this.hovered = null // under the pointer
    this.cursor = null // of the keyboard
    this.due = new Set()
    this.graph.placeOf = (name) => this.placeOf(name) // for tests
    listen(this)
    this.later("load")
  }

  // What other views of the same drawing do their own way (role_graph.js).
  get says() {
    return ROUTE_SAYS
  }

  get step() {
    return SLIDER_STEP
  }

  levelText(level) {
    return level.toFixed(3)
  }

  // The settings by which lines are chosen.
  get drawn() {
    return this.state
  }

  get shape() {
    const { n_layers: layers, parallel, tokens } = this.model
    return { layers, parallel, positions: tokens.length }
  }

  get range() {
    const of = (name) => rangeOf(this.state[name], this.countOf(name))
    return { layers: of("layers"), positions: of("positions") }
  }

  countOf(name) {
    return this.shape[name]
  }

  // ---- from the model to the screen

  load() {
    const { model, stage } = this
    this.edges = unpackEdges(model.edges)
    this.words = {
      tokens: model.tokens.map(shorten),
      predictions: model.predictions.map(shorten),
      stored: new Set(model.stored_targets),
      above: "predicts",
      below: "token",
    }
    this.stopSettling()
    for (const name in SETTINGS) this.state[name] = model[name]
    this.slider.min = model.lowest
    stage.zoom = 1
    stage.measureWords(this.words)
  }

  route() {
    const { target } = this.state
    this.scene = { ...survivesAt(this.edges, this.shape, target), target }
    this.cursor = null
  }

  filter() {
    const { scene, drawn } = this
    Object.assign(scene, linesOf(this.edges, scene, drawn))
    Object.assign(scene, netOf(scene.lines, scene.reach, scene.target))
    this.amounts = amountsOf(scene.lines, this.shape)
    this.hovered = null
    if (this.cursor?.line) this.cursor = null
  }

  paint(scrolled) {
    const { scene, stage, words } = this
    if (!stage.visible) return
    if (!stage.layout) stage.measure(this.shape, this.range)
    stage.paint(scene, words)
    this.paintMarks()
    if (scrolled) return
    showSettings(this)
    showBrushes(this)
  }

  // What is selected, as a thing; null for nothing.
  get chosen() {
    return thingOf(this.shape, this.state.selected, this.scene.byRow)
  }

  paintMarks() {
    const pointed = this.hovered ?? (this.focused ? this.cursor : null)
    this.stage.paintMarks(this.scene, { pointed, selected: this.chosen })
    this.graph.dataset.selected = this.state.selected
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
    const [load, route] = [due.has("load"), due.has("load") || due.has("route")]
    if (load) this.load()
    if (route) this.route()
    if (route || due.has("filter")) this.filter()
    if (load || due.has("range")) this.stage.layout = null
    const only = (what) => due.size === 1 && due.has(what)
    if (only("marks")) this.paintMarks()
    else this.paint(only("scroll"))
    if (route) {
      this.showTip(null)
      this.reveal(load)
    }
  }

  // Scroll to the target, after a load also up to it and to what is selected.
  reveal(load) {
    const { stage, state, chosen } = this
    const { layout } = stage
    if (!layout) return
    const target = { what: "state", row: 0, position: state.target }
    if (isLaidOut(layout, target)) stage.reveal(load ? target : { position: state.target })
    if (load && chosen && isShown(layout, chosen)) stage.reveal(endOf(chosen))
  }

  // ---- what the reader changes

  set(name, value) {
    if (this.state[name] === value) return
    this.state[name] = value
    this.later(SETTINGS[name])
    clearTimeout(this.settling[name])
    const tell = () => { this.model[name] = value }
    if (SETTLING.has(name)) this.settling[name] = setTimeout(tell, SETTLED_MS)
    else tell()
  }

  // What was set for another prompt, or before Back, is not told any more.
  stopSettling() {
    Object.values(this.settling).forEach(clearTimeout)
  }

  setThreshold(value) {
    const rounded = Math.round(value * 1e4) / 1e4
    this.set("threshold", clamp(this.model.lowest, rounded, this.says.highest))
  }

  // To the next whole step: an address may hold any value between two.
  stepThreshold(direction) {
    const steps = this.state.threshold / this.step
    const up = Math.floor(steps + 1 + 1e-9)
    const down = Math.ceil(steps - 1 - 1e-9)
    this.setThreshold((direction > 0 ? up : down) * this.step)
  }

  stepStrongest(by) {
    const now = this.state.strongest ?? this.scene.count
    this.set("strongest", Math.max(1, now + by))
  }

  select(thing) {
    this.set("selected", nameOf(this.shape, thing))
    if (thing) this.say(thing, "Selected")
  }

  clear() {
    this.hovered = null
    this.cursor = null
    this.showTip(null)
    this.select(null)
    if (this.stage.layout) this.paintMarks()
  }

  zoom(how, at) {
    const { stage } = this
    const { zoom, leastZoom } = stage.layout
    const wanted = {
      in: zoom * ZOOM_STEP, out: zoom / ZOOM_STEP, fit: zoom === 1 ? leastZoom : 1,
    }
    stage.zoomTo(wanted[how] ?? zoom * how, this.shape, at)
    if (how === "fit") this.reveal(true)
    this.later("zoom")
  }

  save(kind) {
    const { paint, size } = this.stage.picture(this.scene, this.words, this.chosen)
    const make = kind === "svg" ? svgOf : pngOf
    download(make(paint, size), `${this.model.file_name}.${kind}`)
  }

  // ---- what is pointed at

  point(thing, x, y) {
    this.hovered = thing
    this.stage.surface.style.cursor = thing ? "pointer" : ""
    this.paintMarks()
    this.showTip(thing, x, y)
  }

  // The keyboard's cursor.
  moveTo(thing) {
    this.cursor = thing
    this.hovered = null
    this.stage.reveal(endOf(thing))
    this.paintMarks()
    this.showTip(thing, ...this.stage.placeOf(thing))
    this.say(thing)
  }

  describe(thing) {
    const { tokens, predictions, probabilities } = this.model
    const { shape, scene } = this
    return describe(thing, { shape, scene, tokens, predictions, probabilities })
  }

  say(thing, first = "") {
    const said = spoken(this.describe(thing))
    this.spoken.textContent = first ? `${first}: ${said}` : said
  }

  showTip(thing, x, y) {
    this.tip.hidden = true
    if (!thing) return
    const { scroll } = this.stage
    placeTip(this.tip, this.graph, this.describe(thing),
      scroll.offsetLeft + x, scroll.offsetTop + y)
  }

  // Where something named lies in the browser's window, null if it is not laid out.
  placeOf(name) {
    const { stage, scene, shape } = this
    const thing = thingOf(shape, name, scene.byRow)
    if (!thing || !isShown(stage.layout, thing)) return null
    const { left, top } = stage.scroll.getBoundingClientRect()
    const [x, y] = stage.placeOf(thing)
    return [left + x, top + y]
  }
}
