// Runs before the first paint, so that a dark control room is not lit up by a white flash.
(function () {
  var theme = null;
  try { theme = localStorage.getItem('penstock.theme'); } catch (e) { /* private window: follow the system */ }
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
})();
