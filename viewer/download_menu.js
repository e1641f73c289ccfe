// A small menu: CSV, Parquet, copy SQL. Python makes the files; the browser saves them.
const MENU_STYLE = `
  .download { position: relative; flex: none; font: 13px/1.4 Roboto, system-ui, sans-serif }
  .download > button { all: unset; cursor: pointer; color: var(--fg-muted); padding: 3px;
    border-radius: 4px; display: flex }
  .download > button:hover { color: var(--fg-text); background: var(--fg-raised) }
  .download button:focus-visible { outline: 2px solid var(--fg-accent) }
  .download svg { width: 16px; height: 16px; fill: none; stroke: currentColor;
    stroke-width: 1.5; stroke-linecap: round; stroke-linejoin: round }
  .download ul { position: absolute; right: 0; top: 100%; z-index: 5; margin: 2px 0;
    padding: 4px; list-style: none; background: var(--fg-surface); min-width: 132px;
    border: 1px solid var(--fg-line); border-radius: 6px; box-shadow: 0 4px 14px #0003 }
  .download li button { all: unset; display: block; box-sizing: border-box; width: 100%;
    padding: 5px 9px; border-radius: 4px; cursor: pointer; color: var(--fg-text);
    white-space: nowrap }
  .download li button:hover, .download li button:focus { background: var(--fg-raised) }`
const ARROW = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 2v8M4.5 7 8 10.5 ' +
  '11.5 7M2.5 13.5h11"/></svg>'

// `ask` is called with "csv" or "parquet"; `sql` is text, or empty.
function downloadMenu({ label, sql, ask }) {
  const frame = document.createElement("div")
  frame.className = "download"
  const button = document.createElement("button")
  const what = label ? `Download: ${label}` : "Download"
  button.innerHTML = ARROW
  button.title = "Download, or copy the query"
  button.setAttribute("aria-label", what)
  button.setAttribute("aria-haspopup", "menu")
  const list = document.createElement("ul")
  list.setAttribute("role", "menu")
  list.setAttribute("aria-label", what)
  const open = (shown) => {
    list.hidden = !shown
    button.setAttribute("aria-expanded", shown)
  }
  const add = (text, act) => {
    const item = document.createElement("li")
    item.setAttribute("role", "none")
    const entry = document.createElement("button")
    entry.setAttribute("role", "menuitem")
    entry.tabIndex = -1
    entry.textContent = text
    entry.addEventListener("click", async () => { if ((await act(entry)) !== false) open(false) })
    item.append(entry)
    list.append(item)
  }
  add("CSV", () => ask("csv"))
  add("Parquet", () => ask("parquet"))
  if (sql) {
    add("Copy SQL", async (entry) => {
      entry.textContent = (await copyText(sql)) ? "Copied" : "Copying was refused"
      setTimeout(() => { entry.textContent = "Copy SQL"; open(false) }, 1200)
      return false
    })
  }
  button.addEventListener("click", () => {
    open(list.hidden)
    if (!list.hidden) list.querySelector("button").focus()
  })
  frame.addEventListener("keydown", (event) => {
    if (list.hidden) return
    const items = [...list.querySelectorAll("button")]
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (event.key === "Escape") { open(false); button.focus() }
    else if (step) {
      const at = items.indexOf(frame.getRootNode().activeElement)
      items[(at + step + items.length) % items.length].focus()
    } else return
    event.preventDefault()
    event.stopPropagation()
  })
  frame.addEventListener("focusout", (event) => {
    if (!frame.contains(event.relatedTarget)) open(false)
  })
  open(false)
  frame.append(button, list)
  return frame
}

// Where a page is not served from this machine, browsers offer only the old way.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const field = document.createElement("textarea")
    field.value = text
    document.body.append(field)
    field.select()
    const copied = document.execCommand("copy")
    field.remove()
    return copied
  }
}

// `trouble` says why there is no file.
function saveFile({ file, type, base64, trouble }) {
  if (trouble) {
    window.alert(trouble)
    return
  }
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([bytes], { type }))
  link.download = file
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}
