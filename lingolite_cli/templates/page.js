"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  const THEME = "lingolite-theme";
  const remembered = () => {
    try { return localStorage.getItem(THEME); } catch { return null; }  // a browser may refuse pages from disk
  };
  const remember = (theme) => {
    try { localStorage.setItem(THEME, theme); } catch { return; }
  };
  const take = (theme) => {
    if (["light", "dark"].includes(theme)) root.dataset.theme = theme;
  };
  take(remembered());

  const isDark = () => root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  function startTheme() {
    const button = document.getElementById("theme");
    const show = () => { button.textContent = isDark() ? "☀ Light" : "☾ Dark"; };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember(root.dataset.theme);
      show();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
    // Another tab was switched, or this page was loaded again before the browser had kept what it was switched to.
    window.addEventListener("storage", ({ key, newValue }) => {
      if (key !== THEME) return;
      take(newValue);
      show();
    });
    button.hidden = false;
    show();
  }

  /** A table can be focused with the Tab key only while it scrolls. */
  function startTables() {
    const watch = new ResizeObserver((changes) => {
      for (const { target } of changes) {
        if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
        else target.removeAttribute("tabindex");
      }
    });
    for (const table of document.querySelectorAll(".table")) watch.observe(table);
  }

  document.addEventListener("DOMContentLoaded", () => {
    startTheme();
    startTables();
  });
})();
