// The prompt as its tokens; a click, or Enter, makes one the target.
const STYLE = `
  .strip { font: 13px/1 var(--fg-monospace); color: var(--fg-text); display: flex;
    flex-wrap: wrap; max-height: 120px; overflow-y: auto; scroll-snap-type: y mandatory;
    scrollbar-width: thin }
  .token { font: inherit; color: inherit; background: var(--fg-raised); cursor: pointer;
    border: 1px solid transparent; border-radius: 4px; padding: 0 5px;
    margin: 2px 2px 2px 0; height: 26px; scroll-snap-align: start; scroll-margin: 2px;
    white-space: pre; max-width: 24em; overflow: hidden; text-overflow: ellipsis }
  .token:hover { border-color: var(--fg-target) }
  .token:focus-visible { outline: 2px solid var(--fg-accent); outline-offset: -1px }
  .token.special { color: var(--fg-muted) }
  .token.stored { box-shadow: inset 0 -2px 0 var(--fg-target) }
  .token[aria-selected=true] { background: var(--fg-target); color: var(--fg-on-target) }
  .break { flex-basis: 100% }`

export function render({ model, el }) {
  const style = document.createElement("style")
  style.textContent = STYLE
  const strip = document.createElement("div")
  strip.className = "strip"
  strip.setAttribute("role", "listbox")
  strip.setAttribute("aria-label", "Tokens of the prompt: choose the target")
  strip.dataset.testid = "token-strip"
  el.append(style, strip)

  const draw = () => {
    const stored = new Set(model.stored_targets)
    const parts = model.tokens.flatMap((text, position) => {
      const token = document.createElement("button")
      token.className = "token"
      token.classList.toggle("stored", stored.has(position))
      token.classList.toggle("special", model.special.includes(position))
      token.textContent = text
      const traced = stored.has(position) ? "; a target of the sweep" : ""
      token.title = `Position ${position}, predicts ${model.predictions[position]}${traced}`
      token.dataset.testid = `token-${position}`
      token.setAttribute("role", "option")
      const newline = text.includes("⏎") && document.createElement("div")
      if (newline) newline.className = "break"
      return newline ? [token, newline] : [token]
    })
    strip.replaceChildren(...parts)
    mark()
  }
  const options = () => [...strip.querySelectorAll(".token")]
  const mark = () => options().forEach((token, position) => {
    const chosen = position === model.target
    token.setAttribute("aria-selected", chosen)
    token.tabIndex = chosen ? 0 : -1
    if (chosen && strip.scrollHeight > strip.clientHeight) {
      strip.scrollTop = token.offsetTop - strip.offsetTop - 40
    }
  })
  strip.addEventListener("click", (event) => {
    const position = options().indexOf(event.target)
    if (position >= 0) model.target = position
  })
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
  for (const name of ["tokens", "predictions", "stored_targets", "special"]) {
    model.on(name, later)
  }
  model.on("target", mark)
  draw()
}
