// On paper everything that is shown is drawn, seen or not; afterwards only what is seen again.
const boxes = () => PICTURES.querySelectorAll(".columns[data-index]");

window.addEventListener("beforeprint", () => {
  for (const box of boxes()) drawLayers(box, MODELS[box.dataset.index]);
});
window.addEventListener("afterprint", () => {
  for (const box of boxes()) {
    NEARBY.unobserve(box);
    box.replaceChildren();
    NEARBY.observe(box);
  }
});

buildLegend();
buildModelTable();
byId("models").hidden = MODELS.length === 1;
byId("layers").hidden = DRAWN.length === 0;
useLayers(PICTURES);
useLayers(byId("pair"));
buildCompare();
