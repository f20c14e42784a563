// On paper nothing can be opened, so whatever is folded is opened before printing.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));
