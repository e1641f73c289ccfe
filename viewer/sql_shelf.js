// Beside the editor: questions with their queries, what this browser keeps, the tables.
// Every value is set as text.
const SHELF_STYLE = `
  .shelf { border: 1px solid var(--fg-line); border-radius: 6px; height: 288px;
    box-sizing: border-box; display: flex; flex-direction: column; overflow: hidden }
  .shelf > details[open] { flex: 1; min-height: 0; overflow-y: auto; scrollbar-width: thin }
  .shelf > details > summary { position: sticky; top: 0; background: var(--fg-surface) }
  .shelf summary { cursor: pointer; padding: 7px 12px; font-weight: 500; user-select: none }
  .shelf summary:hover { background: var(--fg-raised) }
  .shelf > details + details { border-top: 1px solid var(--fg-line) }
  .shelf ul { list-style: none; margin: 0; padding: 0 0 6px }
  .shelf li { display: flex; align-items: center }
  .shelf li a { flex: 1; min-width: 0; color: var(--fg-text); text-decoration: none;
    padding: 4px 12px; line-height: 1.4 }
  .shelf li:hover { background: var(--fg-raised) }
  .shelf li a:hover { color: var(--fg-accent) }
  .shelf li button { all: unset; cursor: pointer; color: var(--fg-muted); padding: 2px 12px;
    font-size: 15px }
  .shelf li button:hover { color: var(--fg-bad) }
  .shelf :is(a, summary, button, input):focus-visible { outline: 2px solid
    var(--fg-accent); outline-offset: -2px; border-radius: 3px }
  .shelf form { display: flex; gap: 8px; margin: 0; padding: 2px 12px 8px }
  .shelf input { flex: 1; min-width: 0; font: inherit; color: inherit; height: 28px;
    box-sizing: border-box; padding: 0 8px; background: var(--fg-surface);
    border: 1px solid var(--fg-faint); border-radius: 5px }
  .shelf form button { font: inherit; color: var(--fg-accent); background: none;
    border: 1px solid var(--fg-faint); border-radius: 5px; padding: 0 12px; cursor: pointer }
  .shelf ::placeholder { color: var(--fg-muted); opacity: 1 }
  .shelf p { margin: 0; padding: 0 12px 6px; color: var(--fg-muted) }
  .shelf details details summary { font: 12.5px var(--fg-monospace); padding: 4px 12px }
  .shelf .names { padding: 0 12px 8px; line-height: 1.9 }
  .shelf .names button { all: unset; cursor: pointer; font: 12.5px var(--fg-monospace);
    margin-right: 12px; white-space: nowrap; color: var(--fg-text) }
  .shelf .names button:hover { color: var(--fg-accent) }`

const KEPT = "flowglass-queries"

// What this browser keeps: [{name, sql}]; throws where it keeps nothing.
const readKept = () => JSON.parse(localStorage.getItem(KEPT) ?? "[]")
const writeKept = (queries) => localStorage.setItem(KEPT, JSON.stringify(queries))

// `open(sql)` asks a query, `insert(text)` types it, `current()` is what is typed,
// `href(sql)` is the address of a query.
function sqlShelf({ make, open, insert, current, href }) {
  const frame = make("div", { className: "shelf" })
  frame.setAttribute("role", "region")
  frame.setAttribute("aria-label", "Queries and tables")
  const section = (title, ...children) => {
    const made = make("details", {}, make("summary", { textContent: title }), ...children)
    made.name = "shelf"
    return made
  }
  const linkTo = ({ text, hint, sql }) => {
    const link = make("a", { textContent: text, title: hint, href: href(sql) })
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return
      event.preventDefault()
      open(sql)
    })
    return link
  }

  const asked = make("ul")
  const questions = section("Questions", asked)
  questions.open = true

  const name = make("input", { type: "text", placeholder: "Name", autocomplete: "off" })
  name.setAttribute("aria-label", "Name of the query")
  const form = make("form", {}, name, make("button", { type: "submit", textContent: "Save" }))
  const said = make("p")
  const kept = make("ul")
  const saved = section("Saved in this browser", form, said, kept)
  const keep = (change) => {
    try {
      writeKept(change(readKept()))
      fillSaved()
    } catch (error) {
      said.textContent = `This browser keeps nothing (${error.name}): copy the link instead.`
    }
  }
  const fillSaved = () => {
    let queries = []
    try {
      queries = readKept()
      said.textContent = queries.length ? "" : "Nothing yet. A link shares a query with others."
    } catch (error) {
      said.textContent = `What this browser keeps cannot be read (${error.name}).`
    }
    kept.replaceChildren(...queries.map((query) => {
      const drop = make("button", { textContent: "×", title: "Forget it" })
      drop.setAttribute("aria-label", `Forget ${query.name}`)
      drop.addEventListener("click", () =>
        keep((all) => all.filter((each) => each.name !== query.name)))
      return make("li", {}, linkTo({ text: query.name, hint: query.sql, sql: query.sql }), drop)
    }))
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    const sql = current().trim()
    if (!sql) return
    const called = name.value.trim() || sql.replace(/\s+/g, " ").slice(0, 60)
    name.value = ""
    keep((all) => [{ name: called, sql }, ...all.filter((each) => each.name !== called)])
  })

  const listed = make("div")
  const tables = section("Tables and helpers", listed)
  const fillTables = (sources) => listed.replaceChildren(...sources.map((source) => {
    const names = make("div", { className: "names" })
    for (const { name: column, type, doc } of source.columns) {
      const button = make("button", { textContent: column, title: `${type}: ${doc}` })
      button.addEventListener("click", () => insert(column))
      names.append(button)
    }
    return make("details", {}, make("summary", { textContent: source.call }),
      make("p", { textContent: source.doc }), names)
  }))
  const fillQuestions = (all) => asked.replaceChildren(...all.map(({ text, doc, sql }) =>
    make("li", {}, linkTo({ text, hint: doc, sql }))))

  frame.append(questions, saved, tables)
  fillSaved()
  return { frame, fillQuestions, fillTables, fillSaved }
}
