// The stage of the route graph: a window that scrolls over the drawing, and two canvases
// as wide as that window, so that a very long prompt costs no more memory than a short
// one. The drawing lies on the lower, what is marked on the upper.

const LOWEST_STAGE = 380
const AROUND_STAGE = 330 // the page's head, the token strip, the bar

class Stage {
  constructor(graph) {
    this.graph = graph
    this.scroll = graph.querySelector(".scroll")
    this.sizer = graph.querySelector(".sizer")
    this.surface = graph.querySelector(".stage")
    ;[this.canvas, this.overlay] = this.surface.querySelectorAll("canvas")
    this.layout = null
  }

  get visible() {
    return this.scroll.clientWidth > 0
  }

  measure({ layers, parallel, positions, tokens, predictions }) {
    const c = this.canvas.getContext("2d")
    c.font = labelFont(this.graph, true)
    const widths = (texts) => texts.map((text) => c.measureText(text).width)
    const width = this.scroll.clientWidth
    this.layout = layoutOf({
      layers, parallel, positions, width,
      height: Math.max(LOWEST_STAGE, innerHeight - AROUND_STAGE),
      labels: { tokens: widths(tokens), predictions: widths(predictions) },
    })
    this.resize(width, this.layout.totalHeight)
  }

  resize(width, height) {
    this.sizer.style.width = `${Math.max(this.layout.contentWidth, width)}px`
    for (const element of [this.surface, this.canvas, this.overlay]) {
      element.style.width = `${width}px`
      element.style.height = `${height}px`
    }
    for (const element of [this.canvas, this.overlay]) {
      element.width = Math.round(width * devicePixelRatio)
      element.height = Math.round(height * devicePixelRatio)
    }
  }

  paint(scene, words) {
    const { layout } = this
    const [c, colour] = [this.clear(this.canvas), coloursOf(this.graph)]
    paintBands(c, colour, layout, this.scroll.clientWidth)
    this.inView(c, (range) => {
      paintLines(c, colour, layout, scene, range)
      paintNodes(c, colour, layout, scene, range)
      paintLabels(c, colour, layout, scene, words, range)
    })
    paintGutter(c, colour, layout)
  }

  paintMarks(scene, marked) {
    const [c, colour] = [this.clear(this.overlay), coloursOf(this.graph)]
    this.inView(c, () => {
      for (const thing of marked) paintMark(c, colour, this.layout, scene, thing)
    })
  }

  clear(canvas) {
    const c = canvas.getContext("2d")
    c.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0)
    c.clearRect(0, 0, this.scroll.clientWidth, this.layout.totalHeight)
    c.lineCap = "round"
    return c
  }

  // Paint what is scrolled into view, right of the gutter.
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

  reveal(position) {
    const { scroll } = this
    const x = this.layout.x(position)
    if (x - 40 < scroll.scrollLeft + GUTTER) scroll.scrollLeft = x - GUTTER - 60
    const right = scroll.scrollLeft + scroll.clientWidth
    if (x + 110 > right) scroll.scrollLeft = x + 130 - scroll.clientWidth
  }

  // What is under the pointer, and where that is in the window.
  under(event, scene) {
    const frame = this.scroll.getBoundingClientRect()
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top]
    if (x < GUTTER - 6) return [null, x, y]
    return [pick(this.layout, scene, x + this.scroll.scrollLeft, y), x, y]
  }

  // Where a residual state is in the window.
  placeOf({ row, position }) {
    return [this.layout.x(position) - this.scroll.scrollLeft, this.layout.stateY(row)]
  }
}
