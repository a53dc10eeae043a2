// Tabs that follow the ARIA pattern, with arrow keys; the address holds the open tab.

/** Set up the tabs; the functions are called with the ID of a panel. Return a function that opens a panel. */
export function setUpTabs({ onenter, onleave }) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const panel = (tab) => document.getElementById(tab.getAttribute("aria-controls"));

  function select(tab) {
    for (const other of tabs) {
      const selected = other === tab;
      if (!selected && other.getAttribute("aria-selected") === "true") onleave(panel(other).id);
      other.setAttribute("aria-selected", String(selected));
      other.tabIndex = selected ? 0 : -1;
      panel(other).hidden = !selected;
    }
    history.replaceState(null, "", `#${panel(tab).id}`);
    onenter(panel(tab).id);
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
