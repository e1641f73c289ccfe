// The bar of pages: links, of which the open one is marked.
const STYLE = `
  nav { display: flex; flex-wrap: wrap; gap: 2px 22px; padding: 0 24px;
    border-bottom: 1px solid var(--fg-line); font: 14px/1 Roboto, system-ui, sans-serif }
  a { color: var(--fg-muted); text-decoration: none; padding: 13px 1px 11px;
    border-bottom: 2px solid transparent; margin-bottom: -1px }
  a:hover { color: var(--fg-text) }
  a[aria-current] { color: var(--fg-text); font-weight: 500;
    border-bottom-color: var(--fg-accent) }
  a:focus-visible { outline: 2px solid var(--fg-accent); outline-offset: -2px;
    border-radius: 3px }`

export function render({ model, el }) {
  const style = document.createElement("style")
  style.textContent = STYLE
  const nav = document.createElement("nav")
  nav.setAttribute("aria-label", "Pages")
  el.append(style, nav)
  const links = new Map()
  const draw = () => {
    const keys = model.keys
    for (const [key, link] of links) if (!keys.includes(key)) link.remove()
    keys.forEach((key, index) => {
      if (!links.has(key)) links.set(key, made(key))
      const link = links.get(key)
      link.textContent = model.labels[index] ?? ""
      link.href = model.links[index] || "?"
      if (key === model.open) link.setAttribute("aria-current", "page")
      else link.removeAttribute("aria-current")
      if (nav.children[index] !== link) nav.insertBefore(link, nav.children[index] ?? null)
    })
  }
  const made = (key) => {
    const link = document.createElement("a")
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return
      event.preventDefault()
      model.send_msg({ open: key })
    })
    return link
  }
  for (const name of ["keys", "labels", "links", "open"]) model.on(name, draw)
  draw()
}
