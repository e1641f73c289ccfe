// A table that the browser holds whole: it sorts it, and draws bars to either side.
const TABLE_STYLE = `
  .frame { overflow: auto; scrollbar-width: thin }
  table { border-collapse: separate; border-spacing: 0; width: 100%; table-layout: fixed;
    font: 13px/1.4 Roboto, system-ui, sans-serif }
  th { text-align: left; font-weight: 500; color: var(--fg-muted); padding: 0; position:
    sticky; top: 0; background: var(--fg-surface); border-bottom: 1px solid var(--fg-line);
    z-index: 1 }
  th > * { all: unset; display: block; box-sizing: border-box; width: 100%;
    padding: 3px 6px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
  th[title] { cursor: help }
  th button { cursor: pointer }
  th button:hover, th[aria-sort] { color: var(--fg-text) }
  th button:focus-visible, td a:focus-visible { outline: 2px solid var(--fg-accent);
    outline-offset: -2px; border-radius: 3px }
  td { padding: 3px 6px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
    border-bottom: 1px solid color-mix(in srgb, var(--fg-line) 55%, transparent) }
  td a { color: inherit; text-decoration: none; display: block; margin: -3px -6px;
    padding: 3px 6px }
  .right { text-align: right; font-variant-numeric: tabular-nums }
  th.right > * { text-align: right }
  .token { font-family: var(--fg-monospace); font-size: 12.5px; white-space: pre }
  tbody tr.opens { cursor: pointer }
  tbody tr.opens:hover { background: var(--fg-raised) }
  tfoot { position: sticky; bottom: 0 }
  tfoot td { border: 0; color: var(--fg-muted); background: var(--fg-surface) }
  tfoot tr:first-child td { border-top: 1px solid var(--fg-line) }
  .right + td:not(.right), th.right + th:not(.right) > * { padding-left: 22px }
  .bar > i { float: left; position: relative; width: calc(100% - 62px); height: 18px }
  .bar b { position: absolute; top: 3px; bottom: 3px; border-radius: 2px; opacity: .75 }
  .bar b.plus { background: var(--fg-plus) } .bar b.minus { background: var(--fg-minus) }
  .bar > i::before { content: ""; position: absolute; left: 50%; top: -4px; bottom: -4px;
    border-left: 1px solid var(--fg-line) }
  .up { color: var(--fg-good) } .down { color: var(--fg-bad) }`

const MINUS = "\u2212"
const figure = (value, digits) => value.toFixed(digits).replace("-", MINUS)
const signed = (value, digits) =>
  (Number(value.toFixed(digits)) > 0 ? "+" : "") + figure(value, digits)

const SHOWN = {
  number: (value, { digits }) => figure(value, digits),
  signed: (value, { digits }) => signed(value, digits),
  bar: (value, { digits }) => signed(value, digits),
  percent: (value) => (value === 0 ? "0 %" : value < 0.0005 ? "< 0.1 %"
    : `${(100 * value).toFixed(1)} %`),
  change: (value) => (value > 0 ? `↑ ${value}` : value < 0 ? `↓ ${-value}` : "="),
}

function tableCell(column, value, widest, make) { // widest 0: no bars
  const isNumber = typeof value === "number"
  const text = value === null ? "" : isNumber && SHOWN[column.show]
    ? SHOWN[column.show](value, column) : String(value)
  const figures = !["text", "token"].includes(column.show)
  const cell = make("td", undefined, figures ? "right" : column.show === "token" ? "token" : "")
  if (column.show === "bar" && isNumber && widest) {
    const side = value < 0 ? "minus" : "plus"
    const mark = make("b", undefined, side)
    mark.style[value < 0 ? "right" : "left"] = "50%"
    mark.style.width = `${(50 * Math.abs(value)) / widest}%`
    const room = make("i")
    room.append(mark)
    cell.classList.add("bar")
    cell.append(room, text)
  } else cell.textContent = text
  if (column.show === "change" && value) cell.classList.add(value > 0 ? "up" : "down")
  if (!figures && text.length > 10) cell.title = text
  return cell
}

function sortedRows(section, sort) {
  const order = section.rows.map((_, index) => index)
  if (!sort) return order
  const { column, down } = sort
  const key = (index) => section.rows[index][column]
  return order.sort((a, b) => {
    const [one, other] = [key(a), key(b)]
    if (one === null || other === null) return (one === null) - (other === null) || a - b
    const less = typeof one === "number" ? one - other : String(one).localeCompare(String(other))
    return (down ? -less : less) || a - b
  })
}

// `sorts` remembers the order by caption, so that it outlives what is shown.
function tableOf(section, { make, menu, note, sorts, choose, href, level }) {
  const frame = make("section", undefined, "block")
  const head = make("div", undefined, "head")
  head.append(make(level(), section.caption), menu)
  frame.append(head)
  if (!section.rows.length) {
    frame.append(note(section.empty, "missing"))
    return frame
  }
  const table = make("table")
  table.setAttribute("aria-label", section.caption)
  const [heads, body, foot] = [make("thead"), make("tbody"), make("tfoot")]
  const bars = section.columns.map((column, c) => (column.show === "bar" ? c : -1))
  const widest = Math.max(0, ...section.rows.flatMap((row) =>
    bars.filter((c) => c >= 0 && row[c] !== null).map((c) => Math.abs(row[c]))))

  const headOf = (column, c) => {
    const figures = !["text", "token"].includes(column.show)
    const cell = make("th", undefined, figures ? "right" : "")
    cell.scope = "col"
    if (column.width) cell.style.width = column.width
    if (column.hint) cell.title = column.hint
    const sort = sorts.get(section.caption)
    if (!section.sortable) cell.append(make("span", column.title))
    else {
      const sorted = sort?.column === c
      const button = make("button", column.title + (sorted ? (sort.down ? " ↓" : " ↑") : ""))
      button.dataset.focus = `${section.caption}-${c}`
      if (sorted) cell.setAttribute("aria-sort", sort.down ? "descending" : "ascending")
      button.addEventListener("click", () => {
        const next = !sorted ? { column: c, down: figures } : sort.down === figures
          ? { column: c, down: !figures } : null
        if (next) sorts.set(section.caption, next)
        else sorts.delete(section.caption)
        fill()
        heads.querySelectorAll("button")[c].focus()
      })
      cell.append(button)
    }
    return cell
  }
  const rowOf = (values, opens, scale = widest) => {
    const row = make("tr")
    row.append(...section.columns.map((column, c) => tableCell(column, values[c], scale, make)))
    if (opens && Object.keys(opens).length) {
      const link = make("a", row.cells[0].textContent)
      link.href = href(opens)
      link.dataset.focus = link.href
      row.cells[0].replaceChildren(link)
      row.className = "opens"
      row.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return
        event.preventDefault()
        choose(opens)
      })
    }
    return row
  }
  const fill = () => {
    const top = make("tr")
    top.append(...section.columns.map(headOf))
    heads.replaceChildren(top)
    const order = sortedRows(section, sorts.get(section.caption))
    body.replaceChildren(...order.map((i) => rowOf(section.rows[i], section.opens[i])))
  }
  fill()
  foot.append(...section.foot.map((values) => rowOf(values, undefined, 0)))
  table.append(heads, body, foot)
  const scroll = make("div", undefined, "frame")
  if (section.tallest) {
    scroll.style.maxHeight = `${section.tallest}px`
    scroll.tabIndex = 0
    scroll.setAttribute("role", "group")
    scroll.setAttribute("aria-label", section.caption)
  }
  scroll.append(table)
  frame.append(scroll)
  return frame
}
