// The download menu as a component of its own.
export function render({ model, el }) {
  const style = document.createElement("style")
  style.textContent = MENU_STYLE
  const draw = () => el.replaceChildren(style, downloadMenu({
    label: model.label, sql: model.sql, ask: (kind) => model.send_msg({ download: kind }),
  }))
  model.on("sql", draw)
  model.on("msg:custom", (event) => saveFile(event.data ?? event))
  draw()
}
