// The route graph's style sheet; colours are the page's custom properties (theme.py).

const STYLE = `
  .graph { font: 13px/1.4 ${FONT}; color: var(--fg-text); position: relative }
  .bar, .foot { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px }
  .bar { padding: 0 0 8px; min-height: 30px }
  .bar label { display: flex; align-items: center; gap: 8px; white-space: nowrap }
  .bar input { accent-color: var(--fg-accent); margin: 0 }
  .threshold { width: 130px; cursor: pointer }
  .number { font-variant-numeric: tabular-nums; min-width: 2.7em }
  .switch { cursor: pointer }
  .bar .renormalise { appearance: none; flex: none; width: 26px; height: 15px; border: 0;
    border-radius: 8px; background: var(--fg-muted); position: relative; cursor: pointer }
  .bar .renormalise::after { content: ""; position: absolute; left: 2px; top: 2px; width: 11px;
    height: 11px; border-radius: 50%; background: var(--fg-surface);
    transition: left .12s }
  .bar .renormalise:checked { background: var(--fg-accent) }
  .bar .renormalise:checked::after { left: 13px }
  .strongest { width: 44px; font: inherit; font-variant-numeric: tabular-nums;
    color: var(--fg-text); background: var(--fg-surface); padding: 2px 6px;
    border: 1px solid var(--fg-line); border-radius: 4px; appearance: textfield }
  .strongest::-webkit-inner-spin-button { appearance: none; margin: 0 }
  .strongest::placeholder { color: var(--fg-muted); opacity: 1 }
  /* As wide as there is room: its words must not wrap the bar. */
  .count { color: var(--fg-muted); flex: 1 1 84px; min-width: 0; white-space: nowrap;
    overflow: hidden; text-overflow: ellipsis; font-variant-numeric: tabular-nums }
  .buttons { display: inline-flex; margin-left: auto }
  .buttons button { font: inherit; color: var(--fg-text); background: var(--fg-surface);
    border: 1px solid var(--fg-line); padding: 0 9px; height: 26px; margin: 0 0 0 -1px;
    cursor: pointer; font-variant-numeric: tabular-nums; white-space: nowrap;
    display: inline-flex; align-items: center; gap: 6px }
  .buttons button:first-child { border-radius: 4px 0 0 4px }
  .buttons button:last-child { border-radius: 0 4px 4px 0 }
  .buttons button:hover { background: var(--fg-raised) }
  .buttons button:disabled { color: var(--fg-muted); cursor: default }
  :is(input, button, [role=slider]):focus-visible { outline: 2px solid var(--fg-accent);
    outline-offset: 1px; z-index: 2 }

  .frame { display: grid; grid-template-columns: 16px minmax(0, 1fr) }
  .scroll { outline: none; border-radius: 4px; scrollbar-width: thin; position: relative }
  .scroll:focus-visible { box-shadow: 0 0 0 2px var(--fg-accent) }
  .stage { position: sticky; left: 0; top: 0; overflow: hidden }
  .stage.panning { cursor: grabbing !important }
  .stage canvas { position: absolute; left: 0; top: 0 }
  .lines { transition: opacity .12s }
  .dim .lines { opacity: .16 }
  @media (prefers-reduced-motion: reduce) { .lines { transition: none } }

  .brush { position: relative; touch-action: none; cursor: crosshair; user-select: none }
  .brush canvas { position: absolute; inset: 0; width: 100%; height: 100% }
  .brush .chosen { position: absolute; box-sizing: border-box;
    background: color-mix(in srgb, var(--fg-accent) 14%, transparent) }
  .brush:not(.whole) .chosen { cursor: grab }
  .brush.whole .chosen { background: none; pointer-events: none }
  .brush [role=slider] { position: absolute; border-radius: 3px }
  .brush [role=slider]::after { content: ""; position: absolute; border-radius: 2px;
    background: var(--fg-accent); opacity: 0; transition: opacity .12s }
  :is(.brush:hover, .brush:focus-within, .brush:not(.whole)) [role=slider]::after {
    opacity: 1 }
  .upright { width: 12px; align-self: start;
    border-right: 1px solid var(--fg-line); box-sizing: border-box }
  .upright .chosen { left: 0; right: 0; bottom: calc(var(--from) * 100%);
    top: calc((1 - var(--to)) * 100%) }
  .upright [role=slider] { left: 0; right: 0; height: 10px; cursor: ns-resize }
  .upright [role=slider]:nth-of-type(2) { bottom: calc(var(--from) * 100% - 8px) }
  .upright [role=slider]:nth-of-type(3) { bottom: calc(var(--to) * 100% - 2px) }
  .upright [role=slider]::after { left: 0; right: 0; top: 3px; height: 4px }
  .along { grid-column: 2; height: 14px; margin-top: 6px;
    border-bottom: 1px solid var(--fg-line); box-sizing: border-box }
  .along .chosen { top: 0; bottom: 0; left: calc(var(--from) * 100%);
    right: calc((1 - var(--to)) * 100%) }
  .along [role=slider] { top: 0; bottom: 0; width: 10px; cursor: ew-resize }
  .along [role=slider]:nth-of-type(2) { left: calc(var(--from) * 100% - 8px) }
  .along [role=slider]:nth-of-type(3) { left: calc(var(--to) * 100% - 2px) }
  .along [role=slider]::after { top: 0; bottom: 0; left: 3px; width: 4px }

  .tip { position: absolute; z-index: 5; pointer-events: none; max-width: 460px;
    padding: 8px 11px; border-radius: 6px; border: 1px solid var(--fg-line);
    background: var(--fg-surface); box-shadow: 0 4px 16px #0003; white-space: nowrap }
  .tip[hidden] { display: none }
  .tip .tokens { font-family: var(--fg-monospace); font-size: 12px; margin: 3px 0;
    overflow: hidden; text-overflow: ellipsis }
  .tip .row { display: flex; justify-content: space-between; gap: 20px;
    font-variant-numeric: tabular-nums; color: var(--fg-muted) }
  .tip .row b { font-weight: 400; color: var(--fg-text) }
  .tip .heads { column-gap: 22px; margin-top: 5px; padding-top: 5px;
    border-top: 1px solid var(--fg-line) }

  .foot { padding: 12px 0 0 }
  .legend { display: flex; flex-wrap: wrap; gap: 4px 12px; color: var(--fg-muted) }
  .legend span { display: inline-flex; align-items: center; gap: 6px; white-space: nowrap }
  .hint { color: var(--fg-muted); font-size: 12px; line-height: 1.6; margin: 10px 0 0 }
  .hint p { margin: 0; display: flow-root }
  .hint span { white-space: nowrap; margin-right: 12px }
  kbd { font: 11px var(--fg-monospace); border: 1px solid var(--fg-line);
    border-radius: 3px; padding: 0 4px; background: var(--fg-raised) }
  .spoken { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%) }`
