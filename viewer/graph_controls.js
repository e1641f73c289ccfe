// What the route graph's controls show of its view: slider, switch, field, buttons, brushes.

function showSettings(view) {
  const { scene, state, graph, stage: { layout }, ...controls } = view
  const edgesOf = (lines) => lines.reduce((sum, { heads }) => sum + (heads.length || 1), 0)
  const shown = edgesOf(scene.lines.filter((line) => isLineLaidOut(layout, line)))
  const of = shown < scene.surviving ? ` of ${grouped(scene.surviving)}` : ""
  const noun = scene.surviving === 1 ? "edge" : "edges"
  const { count, slider, number, most } = controls
  count.textContent = `${grouped(shown)}${of} ${noun}`
  count.title = count.textContent
  slider.value = state.threshold
  number.textContent = view.levelText(state.threshold)
  controls.switch.checked = state.renormalise
  // Not while it says the same: that would take a half-typed number away.
  if (Number(most.value) !== state.strongest) most.value = state.strongest ?? ""
  enable(graph, "out", layout.zoom > layout.leastZoom)
  enable(graph, "in", layout.zoom < MOST_ZOOM)
  enable(graph, "fit", layout.zoom !== 1 || layout.leastZoom < 1)
  // For tests and for anyone who scripts the page.
  Object.assign(graph.dataset, {
    edges: scene.count, shown, target: state.target, threshold: state.threshold,
    attention: scene.lines.filter(({ kind }) => kind === KIND.attn).length,
    columnWidth: layout.columnWidth, zoom: layout.zoom,
  })
}

function grouped(count) {
  return count.toLocaleString("en-US")
}

function enable(graph, what, on) {
  graph.querySelector(`[data-do=${what}]`).disabled = !on
}

// The brushes lie along what scrolls between the labels.
function showBrushes({ amounts, brushes, model, range, state, stage: { frame } }) {
  const [upright, along] = [brushes.layers.root.style, brushes.positions.root.style]
  upright.marginTop = `${frame.top}px`
  upright.height = `${frame.height - frame.top - frame.bottom}px`
  along.marginLeft = `${GUTTER}px`
  along.marginRight = `${frame.tail}px`
  brushes.layers.show({
    range: range.layers, amounts: amounts.layers, target: null,
    names: Array.from({ length: model.n_layers }, (_, layer) => `layer ${layer}`),
  })
  brushes.positions.show({
    range: range.positions, amounts: amounts.positions, target: state.target,
    names: model.tokens.map((token, position) => `${position} ${token}`),
  })
}
