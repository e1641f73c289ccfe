// Where the route graph's view listens: pointer, wheel, keys, controls, and the model.

function listen(view) {
  const { model, stage } = view
  const gone = [listenToPage(view)]
  listenToPointer(view)
  listenToFocus(view)
  listenToControls(view)
  for (const name of GIVEN) model.on(name, () => view.later("load"))
  model.on("dark", () => view.later("colours"))
  for (const [name, anew] of Object.entries(SETTINGS)) {
    model.on(name, () => {
      if (model[name] === view.state[name]) return
      view.state[name] = model[name]
      view.later(anew)
    })
  }
  let width = 0
  const watcher = new ResizeObserver(() => {
    if (stage.scroll.offsetWidth !== width) view.later("range")
    width = stage.scroll.offsetWidth
  })
  watcher.observe(stage.scroll)
  gone.push(() => watcher.disconnect())
  model.on("remove", () => gone.forEach((stop) => stop()))
}

function listenToPointer(view) {
  const { stage } = view
  const { surface, scroll } = stage
  let dragging = false
  let last = null // only the newest place of a frame is looked at
  surface.addEventListener("mousemove", (event) => {
    if (!last) requestAnimationFrame(look)
    last = event
  })
  const look = () => {
    const event = last
    last = null
    if (event && stage.layout && !dragging) view.point(...stage.under(event, view.scene))
  }
  surface.addEventListener("mouseleave", () => {
    last = null
    if (stage.layout) view.point(null)
  })
  surface.addEventListener("click", (event) => {
    if (!stage.layout || dragging) return
    const [thing] = stage.under(event, view.scene)
    view.cursor = null
    scroll.focus({ preventScroll: true })
    if (thing?.what === "token") view.set("target", thing.position)
    else if (thing) view.select(thing)
    else view.clear()
  })
  panBy(surface, scroll, (on) => {
    dragging = on
    surface.classList.toggle("panning", on)
    if (on) view.point(null)
  })
  scroll.addEventListener("scroll", () => view.later("scroll"))
  scroll.addEventListener("wheel", (event) => {
    if (!event.ctrlKey || !stage.layout) return
    event.preventDefault()
    const frame = scroll.getBoundingClientRect()
    const at = [event.clientX - frame.left, event.clientY - frame.top]
    view.zoom(Math.exp(clamp(-0.4, -event.deltaY * 0.003, 0.4)), at)
  }, { passive: false })
}

function listenToFocus(view) {
  const { scroll } = view.stage
  const focus = (on) => {
    view.focused = on
    if (!view.stage.layout || !view.cursor) return
    view.paintMarks()
    if (on) view.moveTo(view.cursor)
    else view.showTip(null)
  }
  scroll.addEventListener("focus", () => focus(true))
  scroll.addEventListener("blur", () => focus(false))
  scroll.addEventListener("keydown", (event) => {
    if (view.stage.layout && pressKey(view, event)) event.preventDefault()
  })
}

function listenToControls(view) {
  const { slider, most } = view
  slider.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key]
    if (!arrow) return
    event.preventDefault()
    view.stepThreshold(arrow[1] - arrow[0])
  })
  slider.addEventListener("input", () =>
    view.setThreshold(Math.round(slider.value / view.step) * view.step))
  view.switch.addEventListener("change", () =>
    view.set("renormalise", view.switch.checked))
  most.addEventListener("input", () => {
    const wanted = Math.round(Number(most.value))
    if (!most.validity.badInput) view.set("strongest", wanted > 0 ? wanted : null)
  })
  most.addEventListener("keydown", (event) => {
    const direction = { ArrowUp: 1, ArrowDown: -1 }[event.key]
    if (!direction) return
    event.preventDefault()
    view.stepStrongest(direction * (event.shiftKey ? 1 : 10))
  })
  for (const button of view.graph.querySelectorAll("[data-do]")) {
    const what = button.dataset.do
    button.addEventListener("click", () => {
      if (!view.stage.layout) return
      if (what === "svg" || what === "png") view.save(what)
      else view.zoom(what)
    })
  }
}

// What is heard of the whole page; returns how to stop hearing it.
function listenToPage(view) {
  // The brackets work anywhere on the page but in a field.
  const bracket = (event) => {
    const direction = { "[": -1, "]": 1 }[event.key]
    const field = "input:not([type=range]), textarea, select"
    if (!direction || event.ctrlKey || event.metaKey || !view.stage.visible) return
    if (!event.composedPath()[0]?.matches?.(field)) view.stepThreshold(direction)
  }
  const back = () => view.stopSettling() // the address says what is set
  const size = () => view.later("range")
  const heard = { keydown: bracket, popstate: back, resize: size }
  for (const [name, hear] of Object.entries(heard)) window.addEventListener(name, hear)
  document.fonts.ready.then(() => view.later("fonts"))
  return () => {
    for (const [name, hear] of Object.entries(heard)) window.removeEventListener(name, hear)
  }
}
