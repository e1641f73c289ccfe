// The list of completions below the caret, worked by keys or by the pointer.
const SHOWN = 9

function completionList({ area, ink, make, accept }) {
  const options = make("ul", { id: "completions" })
  options.setAttribute("role", "listbox")
  options.setAttribute("aria-label", "Completions")
  const doc = make("p")
  const frame = make("div", { className: "list", hidden: true }, options, doc)
  let items = []
  let start = 0
  let chosen = 0
  let first = 0

  const close = () => {
    frame.hidden = true
    area.removeAttribute("aria-activedescendant")
    area.removeAttribute("aria-controls")
  }
  // A part of the list is drawn, around the chosen: it does not scroll, and so needs no
  // tab stop of its own.
  const choose = (index) => {
    chosen = (index + items.length) % items.length
    first = Math.min(Math.max(first, chosen - SHOWN + 1), chosen)
    options.replaceChildren(...items.slice(first, first + SHOWN).map((_, i) => drawn(first + i)))
    area.setAttribute("aria-activedescendant", `completion-${chosen}`)
    doc.textContent = items[chosen].doc
    doc.hidden = !items[chosen].doc
  }
  const drawn = (index) => {
    const { text, kind, detail } = items[index]
    const option = make("li", { id: `completion-${index}` }, text,
      make("span", { textContent: detail || kind }))
    option.setAttribute("role", "option")
    option.setAttribute("aria-selected", index === chosen)
    option.setAttribute("aria-setsize", items.length)
    option.setAttribute("aria-posinset", index + 1)
    // Not on click: the text area must keep the focus.
    option.addEventListener("mousedown", (event) => {
      event.preventDefault()
      accept(items[index], start)
    })
    return option
  }
  // Below the word that is completed: its place is that of the coloured text.
  const place = () => {
    const walker = document.createTreeWalker(ink, NodeFilter.SHOW_TEXT)
    let left = start
    let node = walker.nextNode()
    while (node && left >= node.length) { left -= node.length; node = walker.nextNode() }
    if (!node) return
    const range = document.createRange()
    range.setStart(node, left)
    range.setEnd(node, Math.min(left + 1, node.length))
    const box = range.getClientRects()[0] ?? ink.getBoundingClientRect()
    const below = box.bottom + 262 < innerHeight
    frame.style.left = `${Math.max(8, Math.min(box.left - 12, innerWidth - 440))}px`
    frame.style.top = below ? `${box.bottom + 4}px` : "auto"
    frame.style.bottom = below ? "auto" : `${innerHeight - box.top + 4}px`
  }
  const show = (found) => {
    if (!found.items.length) return close()
    ;({ items, start } = found)
    first = 0
    frame.hidden = false
    area.setAttribute("aria-controls", "completions")
    place()
    choose(0)
  }
  // Whether a key was for the list.
  const hears = (event) => {
    const other = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey
    if (frame.hidden || other) return false
    if (event.key === "ArrowDown") choose(chosen + 1)
    else if (event.key === "ArrowUp") choose(chosen - 1)
    else if (event.key === "Escape") close()
    else if (["Enter", "Tab"].includes(event.key)) accept(items[chosen], start)
    else return false
    event.preventDefault()
    return true
  }
  return { frame, show, close, hears }
}
