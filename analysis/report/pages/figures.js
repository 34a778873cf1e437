// Of a figure with several panels: the width that one needs, axis included; that of the axis alone, between two (with the
// halves of labels that stand at the ends of their axes), and at most.
const panelWidth = 235;
const axisWidth = 60;
const spacing = 34;
const widest = 420;
// Room for the arms' names, which are broken into lines of that length.
const narrowestLabels = 210;

function fitted(specification, width) {
  specification.config.axis.labelLimit = Math.max(narrowestLabels, width * 0.4);
  if (width < widest) specification.config.legend.columns = 1;
  const panels = specification.concat ?? (specification.facet ? [specification.spec] : []);
  if (panels.length === 0) {
    return { ...specification, width: "container", autosize: { contains: "padding" } };
  }
  const numPanels = specification.concat?.length ?? specification.facet.sort?.length ?? Infinity;
  const columns = Math.min(numPanels, Math.max(1, Math.floor(width / panelWidth)));
  // Panels that share their scale have one axis, at the left of each line.
  const axes = specification.facet && specification.resolve?.scale?.y !== "independent" ? 1 : columns;
  for (const panel of panels) {
    panel.width = Math.min(widest, Math.floor((width - axes * axisWidth) / columns) - spacing);
  }
  return { ...specification, columns };
}

for (const element of document.querySelectorAll(".chart")) {
  const text = document.getElementById(`specification-${element.dataset.figure}`).textContent;
  const specification = fitted(JSON.parse(text), element.clientWidth);
  // ast: expressions are interpreted, not evaluated, so that the page may forbid evaluation.
  vegaEmbed(element, specification, { renderer: "svg", actions: false, ast: true });
}
