// A range brush: a thin strip along an edge of the graph with two handles. It shows how
// much of the route is where, and what of it is laid out. Drag a handle or what is between
// them, or drag across the strip to choose anew; the handles are sliders for the keyboard.

const KEY_STEP = {
  ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10,
  Home: -Infinity, End: Infinity,
}

class Brush {
  // `noun`: of what it is a range; `upright`: along the left, 0 at its bottom.
  // `onChange` hears every new range.
  constructor(root, { noun, upright, onChange }) {
    Object.assign(this, { root, noun, upright, onChange, count: 1, range: [0, 0] })
    this.canvas = root.querySelector("canvas")
    this.chosen = root.querySelector(".chosen")
    this.handles = [...root.querySelectorAll("[role=slider]")]
    this.handles.forEach((handle, end) => {
      handle.setAttribute("aria-label", `${end ? "Last" : "First"} ${noun} drawn`)
      handle.setAttribute("aria-orientation", upright ? "vertical" : "horizontal")
      handle.addEventListener("keydown", (event) => this.onKey(event, end))
    })
    root.addEventListener("pointerdown", (event) => this.onDown(event))
    root.addEventListener("dblclick", () => this.change([0, this.count - 1]))
  }

  get isWhole() {
    return this.range[0] === 0 && this.range[1] === this.count - 1
  }

  // `names`: of every item; `amounts`: how much of the route each has; `target`: an item
  // that is marked, or null.
  show({ range, names, amounts, target }) {
    Object.assign(this, { range, count: names.length })
    const [from, to] = [range[0] / this.count, (range[1] + 1) / this.count]
    this.root.style.setProperty("--from", from)
    this.root.style.setProperty("--to", to)
    this.root.classList.toggle("whole", this.isWhole)
    this.root.title = this.isWhole
      ? `Drag to draw only some ${this.noun}s`
      : `${this.noun}s ${range.join(" to ")} of ${this.count}; double click draws all`
    this.handles.forEach((handle, end) => {
      handle.setAttribute("aria-valuemin", end ? range[0] : 0)
      handle.setAttribute("aria-valuemax", end ? this.count - 1 : range[1])
      handle.setAttribute("aria-valuenow", range[end])
      handle.setAttribute("aria-valuetext", names[range[end]])
    })
    this.paint(amounts, target)
  }

  paint(amounts, target) {
    const { canvas, upright } = this
    const [width, height] = [canvas.clientWidth, canvas.clientHeight]
    canvas.width = Math.round(width * devicePixelRatio)
    canvas.height = Math.round(height * devicePixelRatio)
    const [c, ink] = [canvas.getContext("2d"), inkOf(this.root)]
    c.scale(devicePixelRatio, devicePixelRatio)
    const [along, across] = upright ? [height, width] : [width, height]
    const most = Math.max(...amounts, 1)
    const bar = (item, size, colour) => {
      c.fillStyle = ink.colour(colour)
      const [start, end] = [item, item + 1].map((at) => (at * along) / this.count)
      const gap = end - start > 3 ? 0.5 : 0
      const [at, length] = [start + gap, end - start - 2 * gap]
      if (upright) c.fillRect(across - size, along - at - length, size, length)
      else c.fillRect(at, across - size, length, size)
    }
    amounts.forEach((amount, item) => {
      const within = item >= this.range[0] && item <= this.range[1]
      const size = amount && 2 + (across - 2) * Math.sqrt(amount / most)
      bar(item, size, item === target ? "target" : within ? "faint" : "line")
    })
  }

  change([from, to]) {
    const last = clamp(0, to, this.count - 1)
    const range = [clamp(0, from, last), last]
    if (range.join() === this.range.join()) return
    this.range = range // at once: the next key comes before it is shown
    this.onChange(range)
  }

  onKey(event, end) {
    if (event.key === "Escape") this.change([0, this.count - 1])
    else if (!(event.key in KEY_STEP)) return
    else this.move(end, this.range[end] + KEY_STEP[event.key])
    event.preventDefault()
    event.stopPropagation()
  }

  // One end to an item, not past the other.
  move(end, item) {
    const [from, to] = this.range
    this.change(end ? [from, Math.max(from, item)] : [Math.min(item, to), to])
  }

  itemAt(event) {
    const box = this.canvas.getBoundingClientRect()
    const part = this.upright
      ? (box.bottom - event.clientY) / box.height
      : (event.clientX - box.left) / box.width
    return clamp(0, Math.floor(part * this.count), this.count - 1)
  }

  onDown(event) {
    if (event.button !== 0) return
    const [start, [from, to]] = [this.itemAt(event), this.range]
    const end = this.handles.indexOf(event.target)
    const inside = !this.isWhole && start >= from && start <= to
    const drag = (item) => {
      if (end >= 0) this.move(end, item)
      else if (inside) {
        const by = clamp(-from, item - start, this.count - 1 - to)
        this.change([from + by, to + by])
      } else if (item !== start) this.change([Math.min(start, item), Math.max(start, item)])
    }
    const move = (moved) => drag(this.itemAt(moved))
    this.root.setPointerCapture(event.pointerId)
    this.root.addEventListener("pointermove", move)
    this.root.addEventListener("lostpointercapture", () =>
      this.root.removeEventListener("pointermove", move), { once: true })
  }
}

// How many edges of the route touch each layer and each position.
function amountsOf(lines, { layers, positions }) {
  const zeros = (count) => new Array(count).fill(0)
  const found = { layers: zeros(layers), positions: zeros(positions) }
  for (const { layer, kind, query, key, heads } of lines) {
    if (kind === KIND.resid) continue
    const edges = heads.length || 1
    found.layers[layer] += edges
    found.positions[query] += edges
    if (key !== query) found.positions[key] += edges
  }
  return found
}
