buildStrip();
setRemoval([]);
buildFront();
buildTable();
buildHeatmap();
