// Sliders without a kernel: every choice of steps has a picture, drawn when the site was built, and its words.
for (const box of document.querySelectorAll(".frames")) {
  const controls = [...box.querySelectorAll("input, select")];
  const picture = box.querySelector("img"), said = box.querySelector("[role=status]");
  const alts = JSON.parse(box.querySelector("script").textContent);
  box.addEventListener("input", ({ target }) => {
    if (target.type === "range") {
      const step = target.dataset.steps.split("|")[target.value];
      target.setAttribute("aria-valuetext", step);
      target.nextElementSibling.textContent = step;
    }
    const frame = controls.map((control) => control.selectedIndex ?? control.value).join("-");
    picture.src = `${box.dataset.folder}${frame}.webp`;
    picture.alt = said.textContent = alts[frame];
  });
}
