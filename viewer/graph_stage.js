// The stage of the route graph: a window that scrolls over the drawing, and three canvases
// as large as that window, so that a very long prompt costs no more memory than a short
// one. From below: labels and bands; the graph, which CSS dims; what is marked.

const LOWEST_STAGE = 380
const AROUND_STAGE = 330 // the page's head, the token strip, the bar
const AROUND_TALL = 130 // what stays beside a stage that needs all the height there is
const MOST_ZOOM = 6
const DRAG = 4 // pixels; less is a click
const ENDS = ["pointerup", "pointercancel"]

class Stage {
  constructor(graph) {
    this.graph = graph
    this.scroll = graph.querySelector(".scroll")
    this.sizer = graph.querySelector(".sizer")
    this.surface = graph.querySelector(".stage")
    const canvases = this.surface.querySelectorAll("canvas")
    ;[this.ground, this.canvas, this.overlay] = canvases
    this.layout = null
    this.zoom = 1
  }

  get visible() {
    return this.scroll.clientWidth > 0
  }

  get view() {
    const { scrollLeft: left, scrollTop: top, clientWidth: width } = this.scroll
    return { left, top, width, height: this.layout.height }
  }

  // Widths of the words, once for a prompt.
  measureWords({ tokens, predictions }) {
    const c = this.ground.getContext("2d")
    c.font = inkOf(this.graph).labelFont(true)
    const widths = (texts) => texts.map((text) => c.measureText(text).width)
    this.widths = { tokens: widths(tokens), predictions: widths(predictions) }
  }

  measure(shape, range) {
    const [first, last] = range.positions
    const { tokens, predictions } = this.widths
    const width = this.scroll.clientWidth
    const height = Math.max(LOWEST_STAGE, innerHeight - AROUND_STAGE)
    const most = Math.max(height, innerHeight - AROUND_TALL)
    this.frame = frameOf({ shape, labels: this.widths, room: { width, height, most } })
    const within = (widths) => widths.slice(first, last + 1)
    this.layout = layoutOf({
      shape, range, width, frame: this.frame, zoom: this.zoom,
      labels: { tokens: within(tokens), predictions: within(predictions) },
    })
    this.resize(width, this.layout.height)
  }

  resize(width, height) {
    const { contentWidth, totalHeight } = this.layout
    const wide = contentWidth > width + 1
    this.sizer.style.width = `${wide ? contentWidth : width}px`
    this.sizer.style.height = `${Math.max(totalHeight, height)}px`
    this.scroll.style.overflowX = wide ? "auto" : "hidden"
    this.scroll.style.overflowY = totalHeight > height + 1 ? "auto" : "hidden"
    const bar = this.scroll.offsetHeight - this.scroll.clientHeight
    this.scroll.style.height = `${height + (wide ? bar : 0)}px`
    this.surface.style.width = `${width}px`
    this.surface.style.height = `${height}px`
    for (const canvas of [this.ground, this.canvas, this.overlay]) {
      const size = [width, height].map((side) => Math.round(side * devicePixelRatio))
      if (canvas.width !== size[0]) canvas.width = size[0]
      if (canvas.height !== size[1]) canvas.height = size[1]
      canvas.style.width = `${width}px`
      canvas.style.height = `${height}px`
    }
  }

  paint(scene, words) {
    const { layout, view } = this
    const ink = inkOf(this.graph)
    paintGround(this.clear(this.ground), ink, layout, scene, words, view)
    paintScene(this.clear(this.canvas), ink, layout, scene, view, { idle: true })
  }

  // The thing pointed at, bright, and what is selected.
  paintMarks(scene, { pointed, selected }) {
    const { layout, view } = this
    const [c, ink] = [this.clear(this.overlay), inkOf(this.graph)]
    const bright = brightPart(scene, pointed)
    this.graph.classList.toggle("dim", Boolean(bright))
    if (bright) paintScene(c, ink, layout, bright, view, { idle: false })
    paintSelected(c, ink, layout, selected, view)
    if (pointed) paintPointed(c, ink, layout, pointed, view)
  }

  clear(canvas) {
    const c = canvas.getContext("2d")
    c.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0)
    c.clearRect(0, 0, canvas.width, canvas.height)
    c.lineCap = "round"
    return c
  }

  // All that is laid out, scrolled into view or not, for a file.
  picture(scene, words, selected) {
    const { layout } = this
    const size = { width: layout.contentWidth, height: layout.totalHeight }
    const view = { left: 0, top: 0, ...size }
    const ink = inkOf(this.graph)
    const paint = (c) => {
      c.fillStyle = ink.colour("surface")
      c.fillRect(0, 0, size.width, size.height)
      paintGround(c, ink, layout, scene, words, view)
      paintScene(c, ink, layout, scene, view, { idle: true })
      paintSelected(c, ink, layout, selected, view)
    }
    return { paint, size }
  }

  // Scroll as little as shows a column, and a row if one is given.
  reveal({ position, row }) {
    const { layout, scroll, view } = this
    const x = xOf(layout, position)
    if (x - 40 < view.left + GUTTER) scroll.scrollLeft = x - GUTTER - 60
    if (x + 110 > view.left + view.width) scroll.scrollLeft = x + 130 - view.width
    if (row === undefined) return
    const y = stateY(layout, row)
    const lowest = view.height - layout.bottom
    if (y < view.top + layout.top + 12) scroll.scrollTop = y - layout.top - 30
    if (y > view.top + lowest - 12) scroll.scrollTop = y - lowest + 30
  }

  // Zoom by a factor about a point of the window, which stays where it is.
  zoomTo(zoom, shape, [x, y] = [this.view.width / 2, this.view.height / 2]) {
    const { layout: before, view } = this
    const wanted = clamp(before.leastZoom, zoom, MOST_ZOOM)
    if (wanted === before.zoom) return
    this.zoom = wanted
    const column = (view.left + x - GUTTER) / before.columnWidth
    const row = (view.top + y - before.top) / before.rowHeight
    this.measure(shape, before.range)
    this.scroll.scrollLeft = GUTTER + column * this.layout.columnWidth - x
    this.scroll.scrollTop = this.layout.top + row * this.layout.rowHeight - y
  }

  // What is under the pointer, and where that is in the window.
  under(event, scene) {
    const { layout, view } = this
    const frame = this.scroll.getBoundingClientRect()
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top]
    const outside = x < GUTTER - 6 || x + view.left > layout.right
    if (y < layout.top - 4 || y > view.height - layout.bottom) {
      return [this.tokenAt(x), x, y]
    }
    if (outside) return [null, x, y]
    return [pick(layout, scene, x + view.left, y + view.top), x, y]
  }

  tokenAt(x) {
    const { layout, view } = this
    const column = Math.floor((x + view.left - GUTTER) / layout.columnWidth)
    const [first, last] = layout.range.positions
    const inside = x >= GUTTER - 6 && column >= 0 && first + column <= last
    return inside ? { what: "token", position: first + column } : null
  }

  // Where a thing is in the window.
  placeOf(thing) {
    const [x, y] = placeOf(this.layout, thing)
    return [x - this.view.left, y - this.view.top]
  }
}

// Drag the drawing about. `onDrag` hears that it has begun, which makes it no click.
function panBy(surface, scroll, onDrag) {
  surface.addEventListener("pointerdown", (down) => {
    if (down.button !== 0 || down.pointerType === "touch") return
    const [left, top] = [scroll.scrollLeft, scroll.scrollTop]
    let dragging = false
    const move = (event) => {
      const [x, y] = [event.clientX - down.clientX, event.clientY - down.clientY]
      if (!dragging && Math.hypot(x, y) < DRAG) return
      if (!dragging) {
        dragging = true
        surface.setPointerCapture(down.pointerId)
        onDrag(true)
      }
      scroll.scrollTo(left - x, top - y)
    }
    const end = () => {
      surface.removeEventListener("pointermove", move)
      for (const name of ENDS) surface.removeEventListener(name, end)
      // After the click that the release still makes.
      if (dragging) setTimeout(() => onDrag(false))
    }
    surface.addEventListener("pointermove", move)
    for (const name of ENDS) surface.addEventListener(name, end)
  })
}
