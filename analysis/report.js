// A panel of a faceted figure needs this width, its axis included; the axis alone needs the second.
const panelWidth = 235;
const axisWidth = 60;

function fitted(specification, width) {
  specification.config.axis.labelLimit = width * 0.4;
  if (!specification.facet) {
    return { ...specification, width: "container", autosize: { contains: "padding" } };
  }
  const columns = Math.max(1, Math.floor(width / panelWidth));
  specification.spec.width = Math.floor(width / columns) - axisWidth;
  return { ...specification, columns };
}

for (const element of document.querySelectorAll(".chart")) {
  const text = document.getElementById(`specification-${element.dataset.figure}`).textContent;
  const specification = fitted(JSON.parse(text), element.clientWidth);
  // ast: expressions are interpreted, not evaluated, so that the page may forbid evaluation.
  vegaEmbed(element, specification, { renderer: "svg", actions: false, ast: true });
}
