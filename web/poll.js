function failed(error) {
  if (error.status === 401) location.reload();  // the session has ended: back to the log-in
}

/// Calls `ask` now and every `ms` while the page is seen; never two at a time. Returns what ends it.
export function every(ms, ask) {
  let timer = 0;
  let ended = false;
  async function turn() {
    if (!document.hidden) await ask().catch(failed);
    if (!ended) timer = setTimeout(turn, ms);
  }
  turn();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
