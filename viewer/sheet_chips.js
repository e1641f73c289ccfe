// Chips with a heat scale; one is chosen. Arrow keys go from one to the next.
const CHIPS_STYLE = `
  .chips { display: flex; flex-wrap: wrap; gap: 4px }
  .chip { all: unset; box-sizing: border-box; cursor: pointer; border-radius: 5px;
    padding: 3px 7px; color: var(--fg-text); border: 1px solid var(--fg-line);
    background: color-mix(in srgb, var(--hue) calc(var(--heat) * 45%), var(--fg-surface));
    font-variant-numeric: tabular-nums; --hue: var(--fg-attn) }
  .chip small { font-size: 11.5px; margin-left: 5px }
  .chip:hover { border-color: var(--fg-muted) }
  .chip:focus-visible { outline: 2px solid var(--fg-accent); outline-offset: 1px }
  .chip[aria-checked=true] { border-color: var(--fg-target);
    box-shadow: 0 0 0 1px var(--fg-target) }
  .plus { --hue: var(--fg-plus) } .minus { --hue: var(--fg-minus) }
  .scale { color: var(--fg-muted); font-size: 12px; white-space: nowrap;
    font-variant-numeric: tabular-nums }
  .scale i { display: inline-block; width: 40px; height: 8px; border-radius: 2px;
    margin: 0 5px; border: 1px solid var(--fg-line); --hue: var(--fg-attn);
    background: linear-gradient(90deg, var(--fg-surface),
      color-mix(in srgb, var(--hue) 45%, var(--fg-surface))) }
  .scale i.plus { --hue: var(--fg-plus) } .scale i.minus { --hue: var(--fg-minus) }`

function hueOf(sign) {
  return sign > 0 ? "plus" : sign < 0 ? "minus" : ""
}

function chipsOf(section, { choose, make, menu, level }) {
  const frame = make("section", undefined, "block")
  const head = make("div", undefined, "head")
  const signed = section.chips.some((chip) => chip.sign)
  const scale = make("span", undefined, "scale")
  if (signed) scale.append("+", make("i", undefined, "plus"), "−", make("i", undefined, "minus"))
  else scale.append("0", make("i"))
  scale.append(section.hottest)
  head.append(make(level(), section.caption), scale, menu)
  const row = make("div", undefined, "chips")
  row.setAttribute("role", "radiogroup")
  row.setAttribute("aria-label", section.caption)
  const chips = section.chips.map((chip) => {
    const button = make("button", chip.text, `chip ${hueOf(chip.sign)}`)
    const chosen = chip.value === section.chosen
    button.append(make("small", chip.detail))
    button.style.setProperty("--heat", chip.heat)
    button.title = chip.hint
    button.setAttribute("aria-label", [chip.text, chip.detail, chip.hint].filter(Boolean).join(", "))
    button.setAttribute("role", "radio")
    button.setAttribute("aria-checked", chosen)
    button.tabIndex = chosen ? 0 : -1
    button.dataset.focus = `${section.key}-${chip.value}`
    button.dataset.testid = `${section.key}-${chip.value}`
    button.addEventListener("click", () => choose({ [section.key]: chip.value }))
    return button
  })
  if (chips.length && !chips.some((chip) => chip.tabIndex === 0)) chips[0].tabIndex = 0
  row.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key]
    if (!step) return
    event.preventDefault()
    const next = chips[chips.indexOf(event.target) + step]
    next?.focus()
    next?.click()
  })
  row.append(...chips)
  frame.append(head, row)
  return frame
}
