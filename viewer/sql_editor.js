// The editor: a text area over its own text in colours, completion, run and stop. What is
// typed stays in the browser until it is run. The other sql files come before this one.
const EDITOR_STYLE = `
  :host { display: block }
  .desk { display: grid; grid-template-columns: minmax(0, 1fr) 340px; gap: 16px;
    font: 13px/1.45 Roboto, system-ui, sans-serif; color: var(--fg-text) }
  @media (max-width: 900px) { .desk { grid-template-columns: minmax(0, 1fr) } }
  .side { min-width: 0; display: flex; flex-direction: column; gap: 8px }
  .paper { border: 1px solid var(--fg-faint); border-radius: 6px; overflow: auto;
    background: var(--fg-surface); min-height: 150px; max-height: 420px; display: grid;
    scrollbar-width: thin; flex: 1 }
  .paper:focus-within { outline: 2px solid var(--fg-accent); outline-offset: -1px }
  .paper > * { grid-area: 1 / 1; margin: 0; padding: 10px 14px; border: 0; tab-size: 4;
    font: 13.5px/1.55 var(--fg-monospace); white-space: pre-wrap; overflow-wrap: anywhere;
    box-sizing: border-box; min-width: 0; letter-spacing: 0 }
  textarea { background: transparent; color: transparent; caret-color: var(--fg-text);
    resize: none; outline: 0; overflow: hidden; width: 100%; height: 100% }
  textarea::selection { background: color-mix(in srgb, var(--fg-accent) 25%, transparent) }
  textarea::placeholder { color: var(--fg-muted); opacity: 1 }
  pre { pointer-events: none }
  .keyword { color: var(--fg-accent) } .source { color: var(--fg-ffn) }
  .text { color: var(--fg-good) } .number { color: var(--fg-minus) }
  .comment { color: var(--fg-muted); font-style: italic }
  .bar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 12px; min-height: 32px }
  .bar > button { font: 500 13px Roboto, system-ui, sans-serif; border-radius: 6px;
    height: 32px; padding: 0 16px; cursor: pointer; border: 1px solid var(--fg-faint);
    background: none; color: var(--fg-text) }
  .bar > .run { background: var(--fg-accent); color: var(--fg-surface); border: 0 }
  .bar > button:hover { filter: brightness(1.08) }
  .bar > .quiet { border: 0; color: var(--fg-accent); padding: 0 6px; font-weight: 400 }
  .bar > .quiet code { font: 12.5px var(--fg-monospace) }
  .bar > .quiet:hover { background: var(--fg-raised) }
  .bar > button:focus-visible { outline: 2px solid var(--fg-accent); outline-offset: 1px }
  .said { flex: 1 1 160px; min-width: 0; overflow-wrap: anywhere; color: var(--fg-muted) }
  .said.bad { color: var(--fg-bad) }
  .list { position: fixed; z-index: 20; background: var(--fg-surface); width: 430px;
    border: 1px solid var(--fg-line); border-radius: 6px; box-shadow: 0 6px 20px #0004;
    overflow: hidden }
  .list ul { list-style: none; margin: 0; padding: 4px }
  .list li { display: flex; gap: 14px; padding: 2px 8px; border-radius: 4px; cursor: pointer;
    font: 13px/1.55 var(--fg-monospace); white-space: nowrap }
  .list li span { margin-left: auto; color: var(--fg-muted); font-size: 12px;
    overflow: hidden; text-overflow: ellipsis }
  .list li[aria-selected=true] { background: var(--fg-raised);
    box-shadow: inset 3px 0 0 var(--fg-accent) }
  .list p { margin: 0; padding: 5px 12px; border-top: 1px solid var(--fg-line);
    color: var(--fg-muted); font-size: 12.5px }
  [hidden] { display: none !important }`

const make = (name, values = {}, ...children) => {
  const made = Object.assign(document.createElement(name), values)
  made.append(...children)
  return made
}

export function render({ model, el }) {
  const area = make("textarea", { spellcheck: false, autocapitalize: "off",
    placeholder: "from edges limit 10" })
  area.setAttribute("aria-label", "SQL")
  area.setAttribute("aria-autocomplete", "list")
  area.setAttribute("autocorrect", "off")
  const ink = make("pre")
  ink.setAttribute("aria-hidden", "true")
  const paper = make("div", { className: "paper" }, ink, area)
  const apple = /Mac|iP/.test(navigator.platform)
  const runButton = make("button", { className: "run", textContent: "Run",
    title: apple ? "⌘ Enter" : "Ctrl + Enter" })
  const stopButton = make("button", { textContent: "Stop" })
  const said = make("div", { className: "said" })
  said.setAttribute("role", "status")
  const restrict = make("button", { className: "quiet",
    title: "Insert it at the caret: only rows of the run in view" })
  const copy = make("button", { className: "quiet", textContent: "Copy link",
    title: "A link that opens this query and runs it" })
  const bar = make("div", { className: "bar" }, runButton, stopButton, said, restrict, copy)

  const changed = () => { paint(); complete() }
  // Typed as the reader would, so that the browser can take it back.
  const type = (text, start = area.selectionStart, end = area.selectionEnd) => {
    area.focus()
    area.setSelectionRange(start, end)
    if (!document.execCommand("insertText", false, text)) {
      area.setRangeText(text, start, end, "end")
      changed()
    }
  }
  const href = (sql) => {
    const query = new URLSearchParams({ run: model.run, view: "sql", sql })
    if (new URLSearchParams(location.search).get("theme") === "dark") query.set("theme", "dark")
    return `?${query}`
  }
  const run = () => {
    list.close()
    model.send_msg({ run: area.value })
  }
  const open = (sql) => {
    write(sql)
    run()
  }
  const write = (sql) => {
    if (area.value !== sql) area.value = sql
    paint()
  }
  const paint = () => {
    const names = new Set(model.sources.map((source) => source.name))
    ink.replaceChildren(...piecesOf(area.value).map((piece) => {
      const colour = colourOf(piece, names)
      return colour ? make("span", { className: colour, textContent: piece.text }) : piece.text
    }), "\n")
  }
  const shelf = sqlShelf({ make, open, insert: (text) => type(text), href,
    current: () => area.value })
  const list = completionList({ area, ink, make, accept: ({ text, insert }, start) => {
    type(insert ?? text, start, area.selectionStart)
    list.close()
  } })
  const complete = (asked = false) => {
    const caret = area.selectionStart
    if (caret !== area.selectionEnd) return list.close()
    const { sources, run } = model
    list.show(completionsAt(area.value, caret, { sources, run, asked }))
  }

  const style = SHELF_STYLE + EDITOR_STYLE
  el.append(make("style", { textContent: style }), make("div", { className: "desk" },
    make("div", { className: "side" }, paper, bar), shelf.frame), list.frame)

  area.addEventListener("input", changed)
  area.addEventListener("blur", () => list.close())
  area.addEventListener("click", () => list.close())
  paper.addEventListener("scroll", () => list.close())
  area.addEventListener("keydown", (event) => {
    const command = event.ctrlKey || event.metaKey
    if (event.key === "Enter" && command) run()
    else if (event.key === " " && command) complete(true)
    else if (list.hears(event)) return
    else if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      const line = area.value.slice(0, area.selectionStart).split("\n").at(-1)
      type(`\n${/^\s*/.exec(line)[0]}`)
    } else return
    event.preventDefault()
  })
  area.addEventListener("keyup", (event) => {
    if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) list.close()
  })
  runButton.addEventListener("click", run)
  stopButton.addEventListener("click", () => model.send_msg({ stop: true }))
  restrict.addEventListener("click", () => type(`run_id = ${quoted(model.run)}`))
  copy.addEventListener("click", async () => {
    const done = await copyText(location.origin + location.pathname + href(area.value))
    copy.textContent = done ? "Copied" : "Copying was refused"
    setTimeout(() => { copy.textContent = "Copy link" }, 1500)
  })

  let since = 0
  const clock = () => {
    if (!model.busy) return
    const seconds = Math.floor((performance.now() - since) / 1000)
    said.textContent = seconds ? `Running, ${seconds} s` : "Running"
    setTimeout(clock, 500)
  }
  let wasBusy = false
  const draw = () => {
    stopButton.hidden = !model.busy
    said.className = `said ${model.busy ? "" : model.tone}`
    if (model.busy && !wasBusy) { since = performance.now(); clock() }
    if (!model.busy) said.textContent = model.message
    wasBusy = model.busy
    const restriction = make("code", { textContent: `run_id = ${quoted(model.run)}` })
    restrict.replaceChildren("This run: ", restriction)
    restrict.hidden = !model.run
    shelf.fillQuestions(model.questions)
    paper.dataset.state = model.busy ? "busy" : model.tone || "idle"
  }
  let due = false
  const later = () => {
    if (!due) requestAnimationFrame(() => { due = false; draw() })
    due = true
  }
  for (const name of ["busy", "message", "tone", "run", "questions"]) model.on(name, later)
  model.on("turn", () => requestAnimationFrame(() => write(model.text)))
  shelf.fillTables(model.sources)
  write(model.text)
  draw()
}
