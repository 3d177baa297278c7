// A second classic script. It calls `toggleTheme` and `currentTheme` of theme.js by their bare names: a build that renamed or
// wrapped them would break the button.

function describeTheme(button) {
  var next = currentTheme() === "dark" ? "light" : "dark";
  button.setAttribute("aria-label", "Switch to the " + next + " theme");
  button.title = button.getAttribute("aria-label");
}

for (var button of document.querySelectorAll("[data-toggle-theme]")) {
  button.hidden = false;
  describeTheme(button);
  button.addEventListener("click", function (event) {
    toggleTheme();
    describeTheme(event.currentTarget);
  });
}
