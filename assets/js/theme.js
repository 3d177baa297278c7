// Runs in <head>, before the first paint, as a classic script: its top-level names are the page's own, and controls.js uses them.

var THEME_KEY = "fingerpost:theme";

function readTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch (error) {
    return null; // storage may be forbidden
  }
}

function currentTheme() {
  var chosen = document.documentElement.getAttribute("data-theme");
  if (chosen) return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function toggleTheme() {
  var next = currentTheme() === "dark" ? "light" : "dark";
  document.documentElement.setAttribute("data-theme", next);
  try {
    localStorage.setItem(THEME_KEY, next);
  } catch (error) {
    // the choice lasts for this page only
  }
  return next;
}

(function () {
  var stored = readTheme();
  if (stored === "dark" || stored === "light") document.documentElement.setAttribute("data-theme", stored);
})();
