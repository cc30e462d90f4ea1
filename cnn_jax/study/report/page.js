"use strict";
// The expressions of a chart are interpreted: the page's policy lets nobody make a function out of text.
const specifications = JSON.parse(document.getElementById("charts").textContent);
for (const place of document.querySelectorAll("[data-chart]")) {
  const options = { actions: false, ast: true, renderer: "svg", tooltip: { theme: "custom" } };
  vegaEmbed(place, specifications[Number(place.dataset.chart)], options).catch((error) => console.error(error));
}
