// What goes where in a plot: a row of selects. Options and values come together, so that
// none is ever chosen that is not there.
const STYLE = `
  :host { display: block }
  .row { display: flex; flex-wrap: wrap; gap: 6px 16px; min-height: 30px;
    font: 13px/1.4 Roboto, system-ui, sans-serif }
  label { display: flex; align-items: center; gap: 7px; color: var(--fg-muted) }
  select { font: inherit; color: var(--fg-text); background: var(--fg-surface); height: 28px;
    border: 1px solid var(--fg-faint); border-radius: 5px; padding: 0 4px; max-width: 180px }
  label[hidden] { display: none }
  select:focus-visible { outline: 2px solid var(--fg-accent); outline-offset: 1px }`

export function render({ model, el }) {
  const make = (name, values = {}, ...children) => {
    const made = Object.assign(document.createElement(name), values)
    made.append(...children)
    return made
  }
  const row = make("div", { className: "row" })
  el.append(make("style", { textContent: STYLE }), row)
  const selects = new Map()
  const made = ({ key, label }) => {
    const select = make("select")
    select.addEventListener("change", () => model.send_msg({ choose: [key, select.value] }))
    selects.set(key, select)
    row.append(make("label", {}, label, select))
    return select
  }
  const draw = () => {
    for (const choice of model.choices) {
      const select = selects.get(choice.key) ?? made(choice)
      select.replaceChildren(...choice.options.map(([value, text]) =>
        make("option", { value, textContent: text })))
      select.value = choice.value
    }
    const shown = new Set(model.choices.map(({ key }) => key))
    for (const [key, select] of selects) select.parentElement.hidden = !shown.has(key)
  }
  model.on("choices", draw)
  draw()
}
