// The graph as a file: all that is laid out, as it is coloured, without the pointer's
// marks. Nothing leaves the page.

const PNG_SCALE = 2
const LARGEST_SIDE = 16384 // of a canvas, in Chromium and Firefox

// `picture` paints everything: ground, lines, the mark of what is selected.
function svgOf(picture, { width, height }) {
  const c = new SvgContext(width, height)
  picture(c)
  return new Blob([c.toString()], { type: "image/svg+xml" })
}

function pngOf(picture, { width, height }) {
  const scale = Math.min(PNG_SCALE, LARGEST_SIDE / Math.max(width, height))
  const canvas = document.createElement("canvas")
  canvas.width = Math.ceil(width * scale)
  canvas.height = Math.ceil(height * scale)
  const c = canvas.getContext("2d")
  c.scale(scale, scale)
  c.lineCap = "round"
  picture(c)
  // Not toBlob: it waits for the page to be idle, up to seven seconds.
  const [, encoded] = canvas.toDataURL("image/png").split(",")
  const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
  return new Blob([bytes], { type: "image/png" })
}

function download(blob, name) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}
