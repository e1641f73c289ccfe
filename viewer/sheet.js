// Sections one below the other, drawn together when all of them are there. Every value is
// set as text: tokens are other people's. The other sheet files come before this one.
const SHEET_STYLE = `
  :host { display: block }
  .sheet { font: 13px/1.45 Roboto, system-ui, sans-serif; color: var(--fg-text) }
  .block + .block, .note + .block { margin-top: 16px }
  .head { display: flex; align-items: baseline; gap: 10px; min-height: 24px }
  .head > .download { align-self: center; margin-left: auto }
  h2, h3 { margin: 0; font-size: 13.5px; font-weight: 600 }
  header h2 { font-size: 15px }
  .way { margin-top: 3px; line-height: 1.7 }
  code { font: 12.5px var(--fg-monospace); background: var(--fg-raised); white-space:
    pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--fg-line); border-radius: 4px;
    padding: 1px 5px }
  .note code { white-space: nowrap }
  .note { color: var(--fg-muted); margin: 5px 0 }
  .missing { background: var(--fg-raised); border-radius: 6px; padding: 8px 10px }
  .link { color: var(--fg-accent); white-space: nowrap }
  .link:focus-visible { outline: 2px solid var(--fg-accent); outline-offset: 2px }
  .close { all: unset; cursor: pointer; margin-left: auto; padding: 1px 8px; flex: none;
    border-radius: 4px; color: var(--fg-accent) }
  .close:hover { background: var(--fg-raised) }
  .close:focus-visible { outline: 2px solid var(--fg-accent) }`

function make(name, text, className) {
  const made = document.createElement(name)
  if (text !== undefined) made.textContent = text
  if (className) made.className = className
  return made
}

// What stands between backticks is code.
function note(text, tone) {
  const made = make("p", undefined, `note ${tone}`)
  made.append(...text.split("`").map((part, i) => (i % 2 ? make("code", part) : part)))
  return made
}

export function render({ model, el }) {
  const style = make("style", MENU_STYLE + TABLE_STYLE + CHIPS_STYLE + EXAMPLES_STYLE +
    SHEET_STYLE)
  const sheet = make("div", undefined, "sheet")
  if (model.label) {
    sheet.setAttribute("role", "region")
    sheet.setAttribute("aria-label", model.label)
  }
  el.append(style, sheet)
  const sorts = new Map()
  const choose = (changes) => model.send_msg({ choose: changes })
  const href = (changes) => {
    const query = new URLSearchParams(location.search)
    for (const [key, value] of Object.entries(changes)) {
      if (value === null || value === "") query.delete(key)
      else query.set(key, value)
    }
    return `?${query}`
  }
  const menuOf = (section, place) => (section.sql === undefined ? "" : downloadMenu({
    label: section.caption ?? section.text,
    sql: section.sql,
    ask: (kind) => model.send_msg({ download: [place, kind] }),
  }))
  const titleOf = (section) => {
    const frame = make("header", undefined, "block")
    const head = make("div", undefined, "head")
    head.append(make("h2", section.text))
    if (section.closes) {
      const close = make("button", "Close", "close")
      close.dataset.focus = "close"
      close.addEventListener("click", () => choose({ selected: "", head: null, neuron: null }))
      head.append(close)
    }
    frame.append(head)
    if (section.tokens.length) {
      const way = make("div", undefined, "way")
      section.tokens.forEach((token, i) => way.append(i ? " → " : "", make("code", token)))
      frame.append(way)
    }
    return frame
  }
  // Of a caption: below the title, if there is one.
  const level = () => (model.shown.some(({ kind }) => kind === "title") ? "h3" : "h2")
  const headingOf = (section, place) => {
    const frame = make("section", undefined, "block")
    const head = make("div", undefined, "head")
    head.append(make(level(), section.text), menuOf(section, place))
    frame.append(head)
    if (section.note) frame.append(note(section.note, ""))
    return frame
  }
  const draw = {
    title: titleOf,
    heading: headingOf,
    note: (section) => {
      const frame = note(section.text, section.tone)
      if (!section.link) return frame
      const link = make("a", section.link, "link")
      link.href = href(section.opens)
      link.dataset.focus = link.href
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return
        event.preventDefault()
        choose(section.opens)
      })
      frame.append(" ", link)
      return frame
    },
    chips: (section, place) =>
      chipsOf(section, { make, level, choose, menu: menuOf(section, place) }),
    examples: (section, place) =>
      examplesOf(section, { make, level, note, choose, href, menu: menuOf(section, place) }),
    table: (section, place) =>
      tableOf(section, { make, level, note, sorts, choose, href, menu: menuOf(section, place) }),
  }
  const fill = () => {
    // What had the focus keeps it, if it is there again.
    const key = sheet.getRootNode().activeElement?.dataset.focus
    sheet.replaceChildren(...model.shown.map((section, i) => draw[section.kind](section, i)))
    sheet.dataset.sections = model.shown.length
    if (!key) return
    const again = [...sheet.querySelectorAll("[data-focus]")].find((e) => e.dataset.focus === key)
    again?.focus({ preventScroll: true })
  }
  model.on("shown", fill)
  model.on("msg:custom", (event) => saveFile(event.data ?? event))
  fill()
}
