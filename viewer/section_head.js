// Title, note, what can be done, and the download menu. Parts change where they are, so
// that a note which is written anew every second closes no menu and takes no focus.
const HEAD_STYLE = `
  .line { display: flex; align-items: center; gap: 12px; min-height: 28px }
  .line.beside { flex-wrap: wrap; gap: 0 14px }
  h2 { margin: 0; font: 500 18px/1.6 Roboto, system-ui, sans-serif; color: var(--fg-text);
    letter-spacing: .0075em }
  h2:empty, .note:empty { display: none }
  .note { font: 13px/1.5 Roboto, system-ui, sans-serif }
  .note.below { max-width: 860px; margin: 2px 0 6px }
  .actions { display: flex; gap: 6px; margin-left: auto }
  .actions:empty { display: none }
  .actions button { all: unset; cursor: pointer; color: var(--fg-accent); padding: 4px 8px;
    border-radius: 6px; font: 500 13px/1.5 Roboto, system-ui, sans-serif; white-space: nowrap }
  .actions button:hover { background: var(--fg-raised) }
  .actions button:focus-visible { outline: 2px solid var(--fg-accent) }`

export function render({ model, el }) {
  const make = (tag, name = "") => {
    const made = document.createElement(tag)
    made.className = name
    return made
  }
  const style = make("style")
  style.textContent = MENU_STYLE + HEAD_STYLE
  const line = make("div", model.beside ? "line beside" : "line")
  const [title, actions, menu] = [make("h2"), make("div", "actions"), make("div", "menu")]
  const note = make("div", model.beside ? "note" : "note below")
  line.append(title, ...(model.beside ? [note] : []), actions, menu)
  el.replaceChildren(style, line, ...(model.beside ? [] : [note]))

  const buttons = {}
  const draw = {
    title: () => { title.textContent = model.title },
    note: () => { note.innerHTML = model.note },
    actions: () => {
      for (const [key, label, shown] of model.actions) {
        if (!buttons[key]) {
          buttons[key] = make("button")
          buttons[key].addEventListener("click", () => model.send_msg({ act: key }))
          actions.append(buttons[key])
        }
        buttons[key].textContent = label
        // What is not offered keeps its room.
        buttons[key].style.visibility = shown ? "visible" : "hidden"
      }
    },
    menu: () => menu.replaceChildren(...(model.can_download ? [downloadMenu({
      label: model.label, sql: model.sql, ask: (kind) => model.send_msg({ download: kind }),
    })] : [])),
  }
  for (const name of ["title", "note", "actions"]) model.on(name, draw[name])
  for (const name of ["label", "sql", "can_download"]) model.on(name, draw.menu)
  model.on("msg:custom", (event) => saveFile(event.data ?? event))
  Object.values(draw).forEach((each) => each())
}
