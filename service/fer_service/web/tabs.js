// Tabs after the ARIA pattern: arrow keys move, the address remembers.

/** Wire the tabs; `onleave(id)` is told which panel is left. */
export function setUpTabs(onleave) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const panel = (tab) => document.getElementById(tab.getAttribute("aria-controls"));

  function select(tab) {
    for (const other of tabs) {
      const chosen = other === tab;
      if (!chosen && other.getAttribute("aria-selected") === "true") onleave(panel(other).id);
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      panel(other).hidden = !chosen;
    }
    history.replaceState(null, "", `#${panel(tab).id}`);
  }

  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = tabs[(index + step + tabs.length) % tabs.length];
      select(next);
      next.focus();
    });
  }
  const named = tabs.find((tab) => `#${panel(tab).id}` === location.hash);
  if (named) select(named);
  return (id) => select(tabs.find((tab) => panel(tab).id === id));
}
