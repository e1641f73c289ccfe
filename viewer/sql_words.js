// SQL as pieces, and what may be typed next. Pure: text in, values out.
// Sources are tables and helpers: {name, call, doc, columns: [{name, type, doc}]}.
const PIECE = new RegExp([
  /(?<comment>--[^\n]*|\/\*[^]*?(?:\*\/|$))/,
  /(?<text>'(?:[^']|'')*(?:'|$))/,
  /(?<quoted>"(?:[^"]|"")*(?:"|$))/,
  /(?<number>\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b)/,
  /(?<word>[a-z_]\w*)/,
].map((part) => part.source).join("|"), "gi")

const KEYWORDS = new Set(("all and any as asc between by case cast cross desc describe " +
  "distinct else end except exclude exists explain false filter from full group having in " +
  "inner intersect is join lateral left like ilike limit not null nulls first last offset " +
  "on or order outer over partition qualify recursive replace right rollup rows sample " +
  "select show summarize tables then true union unnest using values when where window " +
  "with within pivot unpivot").split(" "))

const FUNCTIONS = ("abs any_value arg_max arg_min avg bool_and bool_or coalesce count " +
  "exp first greatest if least len length list ln log lower max median min mode " +
  "percent_rank quantile_cont rank regexp_matches round row_number sqrt stddev string_agg " +
  "strip_accents substr sum trim upper var_samp").split(" ")

// Pieces in order, with what is between them: [{kind, text, start}].
function piecesOf(sql) {
  const pieces = []
  let end = 0
  for (const found of sql.matchAll(PIECE)) {
    if (found.index > end) pieces.push({ kind: "", text: sql.slice(end, found.index), start: end })
    const kind = Object.keys(found.groups).find((name) => found.groups[name] !== undefined)
    pieces.push({ kind, text: found[0], start: found.index })
    end = found.index + found[0].length
  }
  if (end < sql.length) pieces.push({ kind: "", text: sql.slice(end), start: end })
  return pieces
}

// How a piece is coloured: keyword, source, comment, text, number or nothing.
function colourOf(piece, sourceNames) {
  if (piece.kind !== "word") return piece.kind === "quoted" ? "" : piece.kind
  const word = piece.text.toLowerCase()
  if (sourceNames.has(word)) return "source"
  return KEYWORDS.has(word) ? "keyword" : ""
}

// The sources that a query names, by each name that it has for them.
function namedSources(sql, sources) {
  const known = new Map(sources.map((source) => [source.name, source]))
  const named = new Map()
  const call = /\b(?:from|join)\s+(\w+)(?:\s*\([^()]*\))?(?:\s+(?:as\s+)?([a-z_]\w*))?/gi
  for (const [, name, alias] of sql.matchAll(call)) {
    const source = known.get(name.toLowerCase())
    if (!source) continue
    named.set(name.toLowerCase(), source)
    if (alias && !KEYWORDS.has(alias.toLowerCase())) named.set(alias.toLowerCase(), source)
  }
  return named
}

// The names that WITH gives.
const namedQueries = (sql) =>
  [...sql.matchAll(/\b([a-z_]\w*)\s+as\s+(?:materialized\s+)?\(/gi)].map((found) => found[1])

// What may stand at the caret: {start, items: [{text, kind, detail, doc}]}, best first.
// `asked`: the reader wants a list, whatever is there already.
function completionsAt(sql, caret, { sources, run, asked = false }) {
  const none = { start: caret, items: [] }
  const inside = piecesOf(sql).find(({ kind, text, start }) =>
    ["comment", "text", "quoted"].includes(kind) && start < caret &&
    (caret < start + text.length || (kind === "comment" && caret === start + text.length)))
  if (inside) return none
  const before = sql.slice(0, caret)
  const word = /\w*$/.exec(before)[0]
  const start = caret - word.length
  const lead = before.slice(0, start)
  const owner = /([a-z_]\w*)\.$/i.exec(lead)?.[1].toLowerCase()
  // A letter may be an alias, and what follows AS is the reader's own.
  const typed = /^[a-z_]\w/i.test(word) && !/\bas\s+$/i.test(lead)
  if (!asked && !owner && !typed) return none
  const named = namedSources(sql, sources)
  const columnsOf = (source) => source.columns.map(({ name, type, doc }) =>
    ({ text: name, kind: "column", detail: `${type} · ${source.name}`, doc }))
  if (owner) {
    const source = named.get(owner)
    return { start, items: source ? matching(columnsOf(source), word) : [] }
  }
  const tables = sources.map(({ name, call, doc }) =>
    ({ text: name, insert: call, kind: "table", detail: call === name ? "" : call, doc }))
  const queries = namedQueries(sql).map((text) =>
    ({ text, kind: "table", detail: "of this query", doc: "" }))
  if (/\b(?:from|join|describe|summarize)\s+$/i.test(lead)) {
    return { start, items: matching([...queries, ...tables], word) }
  }
  const near = [...new Set(named.values())]
  const restriction = { text: `run_id = ${quoted(run)}`, kind: "run", detail: "this run",
    doc: "Only rows of the run in view." }
  const plain = (texts, kind) => [...texts].map((text) => ({ text, kind, detail: "", doc: "" }))
  const items = [
    ...near.flatMap(columnsOf),
    ...(run ? [restriction] : []),
    ...plain(KEYWORDS, "keyword"),
    ...FUNCTIONS.map((text) =>
      ({ text, insert: `${text}()`, kind: "function", detail: "", doc: "" })),
    ...queries,
    ...tables,
    ...(near.length ? [] : sources.flatMap(columnsOf)),
  ]
  const found = matching(items, word)
  // A word that is whole needs no list, or Enter could not end a line.
  if (!asked && found[0]?.text === word.toLowerCase()) return none
  return { start, items: found }
}

// Those that begin with the word, then those that hold it; each text once.
function matching(items, word) {
  const wanted = word.toLowerCase()
  const once = new Map()
  for (const item of items) if (!once.has(item.text)) once.set(item.text, item)
  const all = [...once.values()]
  const begins = all.filter(({ text }) => text.startsWith(wanted))
  const whole = begins.filter(({ text }) => text === wanted)
  const rest = wanted.length < 3 ? [] : all.filter(({ text }) =>
    !text.startsWith(wanted) && text.includes(wanted))
  return [...whole, ...begins.filter((item) => !whole.includes(item)), ...rest].slice(0, 60)
}

const quoted = (text) => `'${(text ?? "").replaceAll("'", "''")}'`
