// What a canvas paints, written down as SVG: the few canvas calls that graph_paint.js and
// its like make, each as an element. Text is other people's: escaped, and without the
// characters that XML forbids.

const STATE = ["fillStyle", "strokeStyle", "lineWidth", "globalAlpha", "font", "textAlign"]
const ANCHOR = { left: "start", center: "middle", right: "end" }

class SvgContext {
  constructor(width, height) {
    this.size = [width, height]
    this.parts = []
    this.path = ""
    this.saved = []
    this.groups = 0 // opened since the last save
    this.clips = 0
    this.dash = []
    Object.assign(this, { fillStyle: "#000", strokeStyle: "#000", lineWidth: 1,
      globalAlpha: 1, font: "12px sans-serif", textAlign: "left" })
  }

  toString() {
    const [width, height] = this.size.map(number)
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
      `viewBox="0 0 ${width} ${height}">\n${this.parts.join("\n")}\n</svg>\n`
  }

  save() {
    const state = Object.fromEntries(STATE.map((name) => [name, this[name]]))
    this.saved.push({ state, groups: this.groups })
    this.groups = 0
  }

  restore() {
    for (; this.groups; this.groups--) this.parts.push("</g>")
    const { state, groups } = this.saved.pop()
    Object.assign(this, state, { groups })
  }

  open(attributes) {
    this.parts.push(`<g ${attributes}>`)
    this.groups++
  }

  translate(x, y) {
    if (x || y) this.open(`transform="translate(${number(x)} ${number(y)})"`)
  }

  rotate(angle) {
    this.open(`transform="rotate(${number((angle * 180) / Math.PI)})"`)
  }

  clip() {
    const id = `clip${++this.clips}`
    this.parts.push(`<clipPath id="${id}"><path d="${this.path}"/></clipPath>`)
    this.open(`clip-path="url(#${id})"`)
  }

  beginPath() { this.path = "" }
  moveTo(...to) { this.path += `M${to.map(number).join(" ")}` }
  lineTo(...to) { this.path += `L${to.map(number).join(" ")}` }
  bezierCurveTo(...to) { this.path += `C${to.map(number).join(" ")}` }
  setLineDash(dash) { this.dash = dash }

  rect(x, y, width, height) {
    const [w, h] = [number(width), number(height)]
    this.path += `M${number(x)} ${number(y)}h${w}v${h}h-${w}z`
  }

  // Whole circles only, as the graph has no other arcs.
  arc(x, y, radius) {
    const r = number(radius)
    this.path += `M${number(x - radius)} ${number(y)}` +
      `a${r} ${r} 0 1 0 ${number(2 * radius)} 0a${r} ${r} 0 1 0 -${number(2 * radius)} 0z`
  }

  fill() {
    this.draw(`fill="${escaped(this.fillStyle)}"`)
  }

  stroke() {
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : ""
    this.draw(`fill="none" stroke="${escaped(this.strokeStyle)}" ` +
      `stroke-width="${number(this.lineWidth)}" stroke-linecap="round"${dash}`)
  }

  draw(look) {
    if (this.path) this.parts.push(`<path d="${this.path}" ${look}${this.opacity()}/>`)
  }

  opacity() {
    return this.globalAlpha < 1 ? ` opacity="${number(this.globalAlpha)}"` : ""
  }

  fillRect(x, y, width, height) {
    this.beginPath()
    this.rect(x, y, width, height)
    this.fill()
  }

  // Set in the middle of its line, as all text of the graph is.
  fillText(text, x, y) {
    const [, bold, size, family] = /^(bold )?([\d.]+)px (.*)$/.exec(this.font)
    this.parts.push(
      `<text x="${number(x)}" y="${number(y)}" dy="0.35em" ` +
      `text-anchor="${ANCHOR[this.textAlign]}" font-family="${escaped(family)}" ` +
      `font-size="${size}"${bold ? ' font-weight="bold"' : ""} ` +
      `fill="${escaped(this.fillStyle)}"${this.opacity()}>${escaped(text)}</text>`,
    )
  }
}

function number(value) {
  return String(Math.round(value * 100) / 100)
}

const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }

function escaped(text) {
  return text.replace(FORBIDDEN, "\ufffd").replace(/[&<>"']/g, (mark) => ENTITIES[mark])
}
