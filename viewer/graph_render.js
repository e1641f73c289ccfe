// What Panel calls: the last of the route graph's files.

export function render({ model, el }) {
  new GraphView(model, el)
}
