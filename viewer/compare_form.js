// The form of a comparison. A condition can be typed, or chosen below its field.
const STYLE = `
  :host { display: block }
  form { font: 13px/1.45 Roboto, system-ui, sans-serif; color: var(--fg-text); margin: 0;
    display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 12px 24px;
    max-width: 1180px }
  input, select { font: inherit; color: inherit; box-sizing: border-box; height: 32px;
    background: var(--fg-surface); border: 1px solid var(--fg-faint); border-radius: 6px;
    padding: 0 9px }
  input { font: 13px var(--fg-monospace); width: 100% }
  .cohort { display: grid; gap: 5px }
  .cohort b { font-weight: 500 }
  .cohort .name { display: inline-block; width: 18px; height: 18px; border-radius: 4px;
    margin-right: 7px; text-align: center; font: 600 12px/18px Roboto, sans-serif;
    color: var(--fg-surface) }
  .a .name { background: var(--fg-plus) } .b .name { background: var(--fg-minus) }
  .cohort select { max-width: 100%; color: var(--fg-muted) }
  ::placeholder { color: var(--fg-muted); opacity: 1 }
  .more { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 20px;
    grid-column: 1 / -1 }
  .more label { color: var(--fg-muted); display: flex; align-items: center; gap: 7px;
    white-space: nowrap }
  .more select { max-width: 260px }
  button { font: 500 13px Roboto, system-ui, sans-serif; border: 0; border-radius: 6px;
    background: var(--fg-accent); color: var(--fg-surface); padding: 0 22px; height: 34px;
    cursor: pointer }
  button.plain { background: none; color: var(--fg-accent); padding: 0 6px }
  button:hover { filter: brightness(1.08) }
  :is(input, select, button):focus-visible { outline: 2px solid var(--fg-accent);
    outline-offset: 1px }
  @media (max-width: 760px) { form { grid-template-columns: minmax(0, 1fr) } }
  [hidden] { display: none !important }`

export function render({ model, el }) {
  const make = (name, values = {}, ...children) => {
    const made = Object.assign(document.createElement(name), values)
    made.append(...children)
    return made
  }
  const option = (value, text) => make("option", { value, textContent: text })

  const cohort = (key) => {
    const typed = make("input", { type: "text", autocomplete: "off", spellcheck: false })
    typed.setAttribute("aria-label", `Condition of ${key.toUpperCase()}`)
    const picked = make("select")
    picked.setAttribute("aria-label", `Choose a condition for ${key.toUpperCase()}`)
    picked.addEventListener("change", () => {
      if (picked.selectedIndex > 0) typed.value = picked.value
      picked.selectedIndex = 0
    })
    const title = make("b", {}, make("span", { className: "name",
      textContent: key.toUpperCase() }), `Cohort ${key.toUpperCase()}`)
    const box = make("div", { className: `cohort ${key}` }, title, typed, picked)
    return { typed, picked, box }
  }
  const a = cohort("a")
  const b = cohort("b")
  const other = make("select")
  const measure = make("select")
  const tau = make("select")
  const field = (name, of) => make("label", {}, name, of)
  const otherField = field("B is of run", other)
  const tauField = field("at threshold", tau)
  const swap = make("button", { type: "button", className: "plain", textContent: "Swap" })
  swap.addEventListener("click", () => {
    [a.typed.value, b.typed.value] = [b.typed.value, a.typed.value]
  })
  const form = make("form", {}, a.box, b.box, make("div", { className: "more" },
    otherField, field("Measure", measure), tauField,
    make("button", { type: "submit", textContent: "Compare" }), swap))
  form.setAttribute("aria-label", "Compare two cohorts")
  el.append(make("style", { textContent: STYLE }), form)

  const draw = () => {
    for (const { picked } of [a, b])
      picked.replaceChildren(option("", "or choose one…"),
        ...model.conditions.map(([value, text]) => option(value, text)))
    other.replaceChildren(option("", "the same run"),
      ...model.runs.map((name) => option(name, name)))
    measure.replaceChildren(...model.measures.map(([key, title]) => option(key, title)))
    tau.replaceChildren(...model.taus.map((each) => option(String(each), String(each))))
    const { values } = model
    a.typed.value = values.a ?? ""
    b.typed.value = values.b ?? ""
    other.value = values.other ?? ""
    measure.value = values.measure ?? ""
    tau.value = String(values.tau ?? "")
    otherField.hidden = !model.runs.length
    show()
  }
  const show = () => {
    tauField.hidden = measure.value !== "frequency"
    swap.hidden = Boolean(other.value)
    for (const { typed } of [a, b])
      typed.placeholder = other.value ? "all targets" : "all other targets"
  }
  let due = false
  const later = () => {
    if (!due) requestAnimationFrame(() => { due = false; draw() })
    due = true
  }
  for (const name of ["values", "conditions", "runs", "measures", "taus"])
    model.on(name, later)
  measure.addEventListener("change", show)
  other.addEventListener("change", show)
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    model.send_msg({ ask: { a: a.typed.value.trim(), b: b.typed.value.trim(),
      other: other.value, measure: measure.value, tau: Number(tau.value) } })
  })
  draw()
}
