// A table of one page of rows: links that open in a tab, heads that sort, aligned figures.
// Every value is set as text: tokens and prompts are other people's.
// What is redrawn replaces only the cells that differ, so that a table which follows a
// sweep keeps the reader's focus, text selection and place.
const STYLE = `
  .frame { overflow-x: auto }
  table { font: 13px/1.45 Roboto, system-ui, sans-serif; color: var(--fg-text);
    border-collapse: collapse; width: 100%; table-layout: fixed }
  th { text-align: left; font-weight: 500; color: var(--fg-muted); padding: 0;
    border-bottom: 1px solid var(--fg-line); background: var(--fg-surface) }
  th button, th span { all: unset; display: block; box-sizing: border-box; width: 100%;
    padding: 7px 8px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
  th[title] { cursor: help }
  th button { cursor: pointer }
  th button:hover { color: var(--fg-text) }
  th button:focus-visible, td a:focus-visible { outline: 2px solid var(--fg-accent);
    outline-offset: -2px; border-radius: 3px }
  th[aria-sort] { color: var(--fg-text) }
  td { padding: 0; border-bottom: 1px solid var(--fg-line); overflow: hidden }
  td > * { display: block; padding: 7px 8px; white-space: nowrap; overflow: hidden;
    text-overflow: ellipsis; color: inherit; text-decoration: none; min-height: 1.45em }
  .right { text-align: right; font-variant-numeric: tabular-nums }
  .centre { text-align: center }
  .token { font-family: var(--fg-monospace); font-size: 12.5px }
  .muted { color: var(--fg-muted) }
  .good { color: var(--fg-good) }
  .bad { color: var(--fg-bad) }
  .bar::after { content: ""; display: block; height: 3px; margin: 2px 0 -5px;
    border-radius: 2px; background: linear-gradient(var(--fg-accent), var(--fg-accent))
    no-repeat var(--fg-line); background-size: var(--full, 0%) 100% }
  tbody tr.open { cursor: pointer }
  tbody tr.open:hover, tbody tr[aria-current] { background: var(--fg-raised) }
  tbody tr[aria-current] td:first-child { box-shadow: inset 3px 0 0 var(--fg-accent) }
  caption { text-align: left; color: var(--fg-text); padding: 0 0 2px }
  .empty { color: var(--fg-muted); padding: 28px 10px; text-align: center }`

export function render({ model, el }) {
  const style = document.createElement("style")
  style.textContent = STYLE
  const frame = document.createElement("div")
  frame.className = "frame"
  el.append(style, frame)

  const element = (name, text, className) => {
    const made = document.createElement(name)
    if (text !== undefined) made.textContent = text
    if (className) made.className = className
    return made
  }
  const headOf = (column) => {
    const head = element("th", undefined, column.align)
    head.scope = "col"
    if (column.width) head.style.width = column.width
    if (column.hint) head.title = column.hint
    if (!column.sortable) {
      head.append(element("span", column.title))
      return head
    }
    const [down, sorted] = [model.sort === `-${column.name}`, model.sort.replace(/^-/, "")]
    const button = element("button", column.title)
    if (sorted === column.name) {
      head.setAttribute("aria-sort", down ? "descending" : "ascending")
      button.append(down ? " ↓" : " ↑")
    }
    // A third click gives the rows' own order back.
    const next = sorted !== column.name ? column.name : down ? "" : `-${column.name}`
    button.addEventListener("click", () => model.send_msg({ sort: next }))
    head.append(button)
    return head
  }
  const cellOf = (column, value, link, tone, share) => {
    const cell = element("td", undefined, column.align)
    const text = value ?? ""
    const kind = column.kind === "bar" && share === undefined ? "" : column.kind
    const leads = link && text // a link without text has no name
    const inner = element(leads ? "a" : "div", text, [kind, tone].filter(Boolean).join(" "))
    if (leads) inner.href = link
    // Tab stops once a row.
    if (leads && column !== model.columns[0]) inner.tabIndex = -1
    if (text.length > 12) inner.title = text
    if (share !== undefined) inner.style.setProperty("--full", `${100 * share}%`)
    cell.append(inner)
    return cell
  }
  const rowOf = (row, index) => {
    const made = element("tr")
    const link = model.links[index]
    const columns = model.columns
    made.append(...columns.map((column, c) =>
      cellOf(column, row[c], link, model.tones[index]?.[c], model.shares[index]?.[c])))
    if (index === model.current) made.setAttribute("aria-current", "true")
    if (!link) return made
    made.className = "open"
    made.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return
      event.preventDefault()
      model.send_msg({ open: index })
    })
    return made
  }
  const table = element("table")
  const [head, body] = [element("thead"), element("tbody")]
  const heads = element("tr")
  const nothing = element("div", "", "empty")
  if (model.label) table.setAttribute("aria-label", model.label)
  if (model.caption) table.append(element("caption", model.caption))
  table.style.minWidth = `${model.narrowest}px`
  head.append(heads)
  table.append(head, body)
  frame.append(table, nothing)

  // The first differing depth is replaced: a cell of a row that stays, or all of a row.
  const settle = (old, made) => {
    if (old.isEqualNode(made)) return
    if (old.className !== made.className || old.cells.length !== made.cells.length) {
      old.replaceWith(made)
      return
    }
    old.toggleAttribute("aria-current", false)
    if (made.hasAttribute("aria-current")) old.setAttribute("aria-current", "true")
    const cells = [...made.cells]
    ;[...old.cells].forEach((cell, c) => {
      if (!cell.isEqualNode(cells[c])) cell.replaceWith(cells[c])
    })
  }
  const draw = () => {
    const columns = model.columns.map(headOf)
    const same = columns.length === heads.cells.length &&
      columns.every((column, c) => column.isEqualNode(heads.cells[c]))
    if (!same) heads.replaceChildren(...columns)
    const rows = model.rows.map(rowOf)
    while (body.rows.length > rows.length) body.lastChild.remove()
    rows.forEach((row, index) => {
      if (index < body.rows.length) settle(body.rows[index], row)
      else body.append(row)
    })
    nothing.textContent = model.empty
    nothing.hidden = rows.length > 0
    frame.dataset.rows = rows.length
  }
  let due = false
  const later = () => {
    if (!due) requestAnimationFrame(() => { due = false; draw() })
    due = true
  }
  for (const name of ["columns", "rows", "links", "tones", "shares", "sort", "current", "empty"]) {
    model.on(name, later)
  }
  draw()
}
