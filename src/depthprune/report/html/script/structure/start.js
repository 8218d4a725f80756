// On paper everything that is shown is drawn, near the window or not.
window.addEventListener("beforeprint", () => {
  for (const box of PICTURES.querySelectorAll(".columns[data-index]")) drawLayers(box, MODELS[box.dataset.index]);
});

buildLegend();
buildModelTable();
byId("layers").hidden = DRAWN.length === 0;
useLayers(PICTURES);
useLayers(byId("pair"));
buildCompare();
