// The address bar. Panel's own Location pushes history but never hears `popstate`, so
// Back would change the address and not the page.
export function render({ model, el }) {
  el.style.display = "none"
  const tell = () => model.send_msg({ query: location.search })
  const hear = (event) => {
    const { query, replace } = event.data ?? event
    if (query === location.search) return
    const address = location.pathname + query + location.hash
    history[replace ? "replaceState" : "pushState"]({}, "", address)
  }
  const name = () => { if (model.title) document.title = model.title }
  name()
  model.on("title", name)
  tell() // a session that was made anew does not know the address
  addEventListener("popstate", tell)
  model.on("msg:custom", hear)
  model.on("remove", () => removeEventListener("popstate", tell))
}
