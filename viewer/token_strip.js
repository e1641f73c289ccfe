// The prompt as its tokens, shaded by surprisal; a click, or Enter, makes one the target.
// One line below tells of the token under the pointer or the focus, else of the target.
const STYLE = `
  .strip { font: 13px/1 var(--fg-monospace); color: var(--fg-text); display: flex;
    flex-wrap: wrap; max-height: 120px; overflow-y: auto; scroll-snap-type: y mandatory;
    scrollbar-width: thin }
  .token { font: inherit; color: inherit; cursor: pointer; background: color-mix(in srgb,
    var(--fg-plus) calc(var(--surprise, 0) * 50%), var(--fg-raised));
    border: 1px solid transparent; border-radius: 4px; padding: 0 5px;
    margin: 2px 2px 2px 0; height: 26px; scroll-snap-align: start; scroll-margin: 2px;
    white-space: pre; max-width: 24em; overflow: hidden; text-overflow: ellipsis }
  .token:hover { border-color: var(--fg-target) }
  .token:focus-visible { outline: 2px solid var(--fg-accent); outline-offset: -1px }
  .token.special { color: var(--fg-muted) }
  .token.stored { box-shadow: inset 0 -2px 0 var(--fg-target) }
  .token[aria-selected=true] { background: var(--fg-target); color: var(--fg-on-target) }
  .token small { font: 11px Roboto, system-ui, sans-serif; margin-left: 4px }
  .break { flex-basis: 100% }
  .line { display: flex; gap: 8px 24px; flex-wrap: wrap; min-height: 20px; margin-top: 5px;
    font: 12.5px/20px Roboto, system-ui, sans-serif; color: var(--fg-muted) }
  .told { flex: 1 1 420px; min-width: 0; overflow: hidden; text-overflow: ellipsis;
    white-space: nowrap; color: var(--fg-text) }
  .told code { font: 12.5px var(--fg-monospace) }
  .legend { white-space: nowrap; font-variant-numeric: tabular-nums }
  .legend i { display: inline-block; width: 64px; height: 9px; border-radius: 2px;
    margin: 0 5px; border: 1px solid var(--fg-line); background: linear-gradient(90deg,
    var(--fg-raised), color-mix(in srgb, var(--fg-plus) 50%, var(--fg-raised))) }
  .legend u { text-decoration: none; box-shadow: inset 0 -2px 0 var(--fg-target);
    padding: 0 2px 2px; margin-left: 18px }`
const MOST_NATS = 10
const MARKS = { first: "✓", later: "✗" }

export function render({ model, el }) {
  const make = (name, className, text) => {
    const made = document.createElement(name)
    if (className) made.className = className
    if (text !== undefined) made.textContent = text
    return made
  }
  const style = make("style", "", STYLE)
  const strip = make("div", "strip")
  strip.setAttribute("role", "listbox")
  strip.setAttribute("aria-label", "Tokens of the prompt: choose the target")
  strip.dataset.testid = "token-strip"
  const line = make("div", "line")
  const told = make("span", "told")
  told.dataset.testid = "token-told"
  const summary = make("span", "summary")
  const legend = make("span", "legend", "surprisal 0")
  legend.append(make("i"), `${MOST_NATS}+ nats`, make("u", "", "traced"))
  line.append(told, summary, legend)
  el.append(style, strip, line)

  const options = () => [...strip.querySelectorAll(".token")]
  const tell = (position) => {
    if (!(position in model.told)) return
    told.replaceChildren(make("code", "", model.tokens[position]), ` ${model.told[position]}`)
    told.title = told.textContent
  }
  const draw = () => {
    const stored = new Set(model.stored_targets)
    const special = new Set(model.special)
    const parts = model.tokens.flatMap((text, position) => {
      const token = make("button", "token", text)
      const surprisal = model.surprisals[position] ?? 0
      const answer = model.answers[position]
      token.classList.toggle("stored", stored.has(position))
      token.classList.toggle("special", special.has(position))
      token.style.setProperty("--surprise", Math.min(1, surprisal / MOST_NATS))
      token.setAttribute("aria-label", `${text}, ${model.told[position]}`)
      token.dataset.testid = `token-${position}`
      token.setAttribute("role", "option")
      if (answer) token.append(make("small", "", MARKS[answer]))
      return text.includes("⏎") ? [token, make("div", "break")] : [token]
    })
    strip.replaceChildren(...parts)
    summary.textContent = model.summary
    mark()
  }
  const mark = () => {
    options().forEach((token, position) => {
      const chosen = position === model.target
      token.setAttribute("aria-selected", chosen)
      token.tabIndex = chosen ? 0 : -1
      if (chosen && strip.scrollHeight > strip.clientHeight) {
        strip.scrollTop = token.offsetTop - strip.offsetTop - 40
      }
    })
    tell(model.target)
  }
  const tokenOf = (event) => options().indexOf(event.target.closest?.(".token"))
  strip.addEventListener("click", (event) => {
    const position = tokenOf(event)
    if (position >= 0) model.target = position
  })
  strip.addEventListener("mouseover", (event) => tell(tokenOf(event)))
  strip.addEventListener("focusin", (event) => tell(tokenOf(event)))
  for (const left of ["mouseleave", "focusout"]) {
    strip.addEventListener(left, () => tell(model.target))
  }
  strip.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    if (!step) return
    event.preventDefault()
    const all = options()
    all[all.indexOf(event.target) + step]?.focus()
  })
  let due = false
  const later = () => {
    if (!due) requestAnimationFrame(() => { due = false; draw() })
    due = true
  }
  for (const name of ["tokens", "told", "surprisals", "stored_targets", "answers", "special"]) {
    model.on(name, later)
  }
  model.on("target", mark)
  draw()
}
