// Places of prompts with the tokens around them: marked where something is written to or
// read from, shaded by a figure. A line leads to its prompt.
const EXAMPLES_STYLE = `
  .examples { list-style: none; margin: 4px 0 0; padding: 0 }
  .examples li { border-bottom: 1px solid
    color-mix(in srgb, var(--fg-line) 55%, transparent) }
  .examples a { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 1px 14px;
    padding: 5px 6px; color: inherit; text-decoration: none }
  .examples a:hover { background: var(--fg-raised) }
  .examples a:focus-visible { outline: 2px solid var(--fg-accent); outline-offset: -2px;
    border-radius: 3px }
  .examples .name { color: var(--fg-muted); font-size: 12px; overflow: hidden;
    text-overflow: ellipsis; white-space: nowrap }
  .examples .figure { color: var(--fg-muted); font-size: 12px;
    font-variant-numeric: tabular-nums; white-space: nowrap }
  .examples .text { grid-column: 1 / -1; font: 12.5px/1.75 var(--fg-monospace);
    overflow-wrap: anywhere }
  .examples .piece { border-radius: 3px; padding: 1px 0;
    background: color-mix(in srgb, var(--ink) calc(var(--shade) * 55%), transparent) }
  .examples .to, .examples .both { box-shadow: inset 0 -2px var(--fg-target);
    font-weight: 700 }
  .examples .from { box-shadow: inset 0 -2px var(--fg-attn); font-weight: 700 }
  .examples .both { box-shadow: inset 0 -2px var(--fg-target), inset 0 -4px var(--fg-attn) }
  .examples .gap { color: var(--fg-muted) }`

function pieceOf(piece, make) {
  const token = make("span", piece.text, `piece ${piece.mark}`)
  if (piece.shade) {
    token.style.setProperty("--ink", piece.shade < 0 ? "var(--fg-minus)" : "var(--fg-plus)")
    token.style.setProperty("--shade", String(Math.min(1, Math.abs(piece.shade))))
  } else token.style.background = "none"
  const role = { to: "reads here", from: "what is read", both: "reads itself" }[piece.mark]
  const told = [role, piece.hint].filter(Boolean).join(" · ")
  if (told) token.title = told
  return piece.gap ? [make("span", " … ", "gap"), token] : [token]
}

function examplesOf(section, { make, level, note, choose, href, menu }) {
  const frame = make("section", undefined, "block")
  const head = make("div", undefined, "head")
  head.append(make(level(), section.caption), menu)
  frame.append(head)
  if (section.note) frame.append(note(section.note, ""))
  if (!section.examples.length) {
    frame.append(note(section.empty, "missing"))
    return frame
  }
  const list = make("ul", undefined, "examples")
  list.setAttribute("aria-label", section.caption)
  list.append(...section.examples.map((example) => {
    const link = make("a")
    link.href = href(example.opens)
    link.dataset.focus = link.href
    const text = make("div", undefined, "text")
    text.append(...example.pieces.flatMap((piece) => pieceOf(piece, make)))
    link.append(make("span", example.name, "name"), make("span", example.figure, "figure"), text)
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return
      event.preventDefault()
      choose(example.opens)
    })
    const line = make("li")
    line.append(link)
    return line
  }))
  frame.append(list)
  return frame
}
