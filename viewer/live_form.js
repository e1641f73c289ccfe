// The form for a prompt. It is sent as a whole: what is typed stays in the browser until
// then, and a message of the server never touches it.
const STYLE = `
  :host { display: block }
  form { font: 13px/1.45 Roboto, system-ui, sans-serif; color: var(--fg-text); margin: 0;
    display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 8px 12px }
  textarea, input[type=text], select { font: inherit; color: inherit; box-sizing: border-box;
    background: var(--fg-surface); border: 1px solid var(--fg-faint); border-radius: 6px }
  textarea { font: 13px/1.5 var(--fg-monospace); padding: 7px 10px; height: 56px;
    min-height: 56px; max-height: 320px; resize: vertical; width: 100% }
  input[type=text], select { height: 30px; padding: 0 8px }
  input[type=text] { width: 136px }
  select { max-width: 220px }
  ::placeholder { color: var(--fg-muted); opacity: 1 }
  .more { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px;
    grid-column: 1 / -1; min-height: 38px }
  label { color: var(--fg-muted); display: flex; align-items: center; gap: 7px;
    white-space: nowrap }
  label input, label select { color: var(--fg-text) }
  input[type=checkbox] { accent-color: var(--fg-accent); margin: 0 }
  button { font: 500 13px Roboto, system-ui, sans-serif; border: 0; border-radius: 6px;
    background: var(--fg-accent); color: var(--fg-surface); padding: 0 22px; height: 56px;
    cursor: pointer }
  button:hover:not(:disabled) { filter: brightness(1.08) }
  button:disabled { background: var(--fg-line); color: var(--fg-muted); cursor: default }
  input:disabled { opacity: 0.5 }
  :is(textarea, input, select, button):focus-visible { outline: 2px solid var(--fg-accent);
    outline-offset: 1px }
  .said { flex: 1 1 240px; min-width: 0; overflow-wrap: anywhere; color: var(--fg-muted) }
  .said.good { color: var(--fg-good) }
  .said.bad { color: var(--fg-bad) }
  progress { appearance: none; border: 0; width: 110px; height: 4px; flex: none }
  progress::-webkit-progress-bar { background: var(--fg-line); border-radius: 2px }
  progress::-webkit-progress-value { background: var(--fg-accent); border-radius: 2px }
  progress::-moz-progress-bar { background: var(--fg-accent) }
  [hidden] { display: none !important }`

export function render({ model, el }) {
  const make = (name, values = {}, ...children) => {
    const made = Object.assign(document.createElement(name), values)
    made.append(...children)
    return made
  }
  const field = (name, of) => make("label", {}, name, of)
  const text = make("textarea", { placeholder: "The capital of France is", spellcheck: false })
  text.setAttribute("aria-label", "Prompt")
  const button = make("button", { type: "submit", textContent: "Trace", title: "Ctrl+Enter" })
  const chosen = make("select", {}, ...model.models.map((name) =>
    make("option", { value: name, textContent: name })))
  const answer = make("input", { type: "text", autocomplete: "off" })
  const distractor = make("input", { type: "text", autocomplete: "off" })
  const many = make("input", { type: "checkbox" })
  const bar = make("progress", { max: 1 })
  bar.setAttribute("aria-label", "Progress")
  const said = make("div", { className: "said" })
  said.setAttribute("role", "status")
  const form = make("form", {}, text, button, make("div", { className: "more" },
    field("Model", chosen), field("Answer", answer), field("Distractor", distractor),
    make("label", {}, many, "One prompt a line"), bar, said))
  form.setAttribute("aria-label", "Try a prompt")
  el.append(make("style", { textContent: STYLE }), form)

  const draw = () => {
    button.disabled = model.busy
    bar.hidden = !model.busy
    bar.value = model.share
    said.textContent = model.message
    said.className = `said ${model.tone}`
    answer.disabled = distractor.disabled = many.checked
  }
  let due = false
  const later = () => {
    if (!due) requestAnimationFrame(() => { due = false; draw() })
    due = true
  }
  for (const name of ["busy", "share", "message", "tone"]) model.on(name, later)
  many.addEventListener("change", draw)
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    if (model.busy) return
    model.send_msg({ trace: {
      text: text.value,
      model: chosen.value,
      many: many.checked,
      answer: many.checked ? "" : answer.value,
      distractor: many.checked ? "" : distractor.value,
    } })
  })
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit()
  })
  draw()
}
