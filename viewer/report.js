// "Save this page": what is on the screen, as one file that needs no server and no script.
// Shadow roots are written out declaratively, canvases become images, rules that code put
// into a style sheet become its text. Python adds the data, the queries and the run.
const REPORT_STYLE = `
  button { all: unset; cursor: pointer; padding: 7px; border-radius: 6px; display: flex;
    color: var(--fg-muted) }
  button:hover { color: var(--fg-text); background: var(--fg-raised) }
  button:focus-visible { outline: 2px solid var(--fg-accent) }
  button[aria-busy=true] { opacity: .4 }
  svg { width: 18px; height: 18px; fill: none; stroke: currentColor; stroke-width: 1.5;
    stroke-linecap: round; stroke-linejoin: round }`
const PAGE_ICON = '<svg viewBox="0 0 18 18" aria-hidden="true"><path d="M4 1.5h7l3.5 3.5v11.5' +
  'H4zM11 1.5V5h3.5M9 8v5.5M6.7 11.3 9 13.6l2.3-2.3"/></svg>'
const VOID = new Set(["br", "hr", "img", "input", "wbr", "col"])
const LEFT_OUT = new Set(["script", "link", "iframe", "object", "embed", "template", "base"])
const STATES = { input: ["value", "checked"], option: ["selected"] }
const ADDRESSES = new Set(["href", "src", "srcset", "action", "formaction", "xlink:href"])

const escaped = (text) => text.replace(/[&<>"]/g, (letter) =>
  ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[letter])

// Rules, but for those that would fetch something; `</style` must not end them.
const cssOf = (sheet) => {
  try {
    return [...sheet.cssRules].map((rule) => rule.cssText)
      .filter((text) => !/@import|@font-face|url\((?!["']?data:)/i.test(text))
      .join("\n").replaceAll("</", "<\\/")
  } catch { // of another origin: there should be none
    return ""
  }
}

// What a reader has typed or chosen is in no attribute.
function stateOf(element) {
  const { localName, value, checked, selected } = element
  if (localName === "input") return `${checked ? " checked" : ""} value="${escaped(value)}"`
  return localName === "option" && selected ? " selected" : ""
}

function attributesOf(element) {
  const found = []
  for (const { name, value } of element.attributes) {
    if (name.startsWith("on") || (ADDRESSES.has(name) && !/^(data:|#)/.test(value))) continue
    if (STATES[element.localName]?.includes(name)) continue
    found.push(` ${name}="${escaped(value)}"`)
  }
  return found.join("") + stateOf(element)
}

// A rule that places a canvas does not place an image.
function imageOf(canvas) {
  const { width, height } = canvas.getBoundingClientRect()
  const { position, left, top } = getComputedStyle(canvas)
  const style = `${canvas.getAttribute("style") ?? ""};position:${position};left:${left};` +
    `top:${top};width:${width}px;height:${height}px`
  try {
    return `<img alt="" src="${canvas.toDataURL()}" style="${escaped(style)}">`
  } catch { // an empty one
    return ""
  }
}

const insideOf = (node) => [...node.childNodes].map(written).join("")

function shadowOf(element) {
  const root = element.shadowRoot
  if (!root) return ""
  const adopted = root.adoptedStyleSheets.map(cssOf).join("\n")
  return `<template shadowrootmode="open"><style>${adopted}</style>${insideOf(root)}</template>`
}

function written(node) {
  if (node.nodeType === Node.TEXT_NODE) return escaped(node.data)
  if (node.nodeType !== Node.ELEMENT_NODE) return ""
  const name = node.localName
  if (name === "style") return node.sheet ? `<style>${cssOf(node.sheet)}</style>` : ""
  if (LEFT_OUT.has(name)) return ""
  if (name === "head") return insideOf(node) // where MUI keeps its styles
  if (getComputedStyle(node).display === "none") return ""
  if (name === "canvas") return imageOf(node)
  const open = `<${name}${attributesOf(node)}>`
  if (VOID.has(name)) return open
  const inside = name === "textarea" ? escaped(node.value) : shadowOf(node) + insideOf(node)
  return `${open}${inside}</${name}>`
}

function pageNamed(name) {
  const found = Bokeh.documents.map((d) => d.get_model_by_name(name)).find(Boolean)
  return found && Bokeh.index.find_one(found)?.el
}

export function render({ model, el }) {
  const style = document.createElement("style")
  style.textContent = REPORT_STYLE
  const button = document.createElement("button")
  button.innerHTML = PAGE_ICON
  button.title = "Save this page as one file"
  button.setAttribute("aria-label", "Save this page as one file")
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-busy") === "true") return
    button.setAttribute("aria-busy", "true")
    model.send_msg({ report: location.search })
  })
  model.on("msg:custom", (event) => {
    const { page, before, after, file } = event.data ?? event
    button.removeAttribute("aria-busy")
    const shown = pageNamed(page)
    if (!shown) return
    const blob = new Blob([before, written(shown), after], { type: "text/html" })
    const link = document.createElement("a")
    link.href = URL.createObjectURL(blob)
    link.download = file
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
  })
  el.append(style, button)
}
