// Where one is: flowglass / run / prompt. All but the last lead somewhere.
const STYLE = `
  nav { font: 15px/1.3 Roboto, system-ui, sans-serif; color: var(--fg-text);
    display: flex; align-items: baseline; gap: 10px; white-space: nowrap }
  a { color: inherit; text-decoration: none }
  a:hover { text-decoration: underline; text-underline-offset: 3px }
  a:focus-visible { outline: 2px solid var(--fg-accent); outline-offset: 3px;
    border-radius: 2px }
  h1 { font: inherit; margin: 0 }
  .home { font-weight: 700; font-size: 17px; letter-spacing: -0.01em }
  .slash { color: var(--fg-faint) }
  .note { color: var(--fg-muted); font-size: 13px; overflow: hidden;
    text-overflow: ellipsis; max-width: 46vw }`

export function render({ model, el }) {
  const style = document.createElement("style")
  style.textContent = STYLE
  const nav = document.createElement("nav")
  nav.setAttribute("aria-label", "Where you are")
  el.append(style, nav)
  const part = (name, text, className) => {
    const made = document.createElement(name)
    made.textContent = text
    made.className = className
    return made
  }
  const draw = () => {
    const parts = model.labels.flatMap((label, index) => {
      const link = model.links[index]
      const last = index === model.labels.length - 1
      const made = part(last ? "h1" : link ? "a" : "span", label, index ? "" : "home")
      if (link) made.href = link
      made.addEventListener("click", (event) => {
        if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return
        event.preventDefault()
        model.send_msg({ open: index })
      })
      return index ? [part("span", "/", "slash"), made] : [made]
    })
    nav.replaceChildren(...parts, part("span", model.note, "note"))
  }
  for (const name of ["labels", "links", "note"]) model.on(name, draw)
  draw()
}
