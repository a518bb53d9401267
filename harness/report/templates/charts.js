"use strict";
// Draws the page's charts, in the page's own ink: light, dark or print.
(() => {
  Bokeh.set_log_level("warn");
  const roots = new Map();
  const PRINTED_PX = 650; // fits an A4 and a letter page within its margins

  function paint(medium = "--") {
    const style = getComputedStyle(document.documentElement);
    const [ink, soft, card] = ["ink", "soft", "card"].map((name) => style.getPropertyValue(`${medium}${name}`).trim());
    for (const root of roots.values()) {
      for (const model of root.references()) {
        if (model.type.endsWith("Axis")) {
          model.setv({axis_label_text_color: soft, major_label_text_color: soft, axis_line_color: soft, major_tick_line_color: soft});
        } else if (model.type === "Grid") {
          model.setv({grid_line_color: soft});
        } else if (model.type === "GlyphRenderer" && model.name === "in ink") {
          model.glyph.setv({text_color: {value: ink}});
        } else if (model.type === "HBar") {
          model.setv({hatch_color: {value: card}});
        }
      }
    }
  }

  for (const button of document.querySelectorAll("button[data-line]")) {
    button.addEventListener("click", () => {
      const show = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(show));
      for (const model of roots.get(button.dataset.chart)?.references() ?? []) {
        if (model.type === "GlyphRenderer" && model.name === button.dataset.line) model.visible = show;
      }
    });
  }

  // Nothing is laid out or painted between this event and the printing, so a chart is painted here and scaled down as it is.
  addEventListener("beforeprint", () => {
    paint("--print-");
    for (const root of roots.values()) {
      const models = [...root.references()];
      // Sets the colours at once, and the rest, which is not shown, later.
      for (const model of models) if (model.type === "GlyphRenderer") void Bokeh.index.find_one(model)?.set_visuals();
      for (const model of models) if (model.type === "Figure") Bokeh.index.find_one(model)?.repaint();
    }
    for (const chart of document.querySelectorAll(".chart")) chart.style.zoom = Math.min(1, PRINTED_PX / chart.offsetWidth);
  });
  addEventListener("afterprint", () => {
    for (const chart of document.querySelectorAll(".chart")) chart.style.zoom = "";
    paint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint());
  (async () => {
    const packed = Uint8Array.from(atob(document.getElementById("charts").textContent), (letter) => letter.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    for (const {id, item} of await new Response(unpacked).json()) {
      await Bokeh.embed.embed_item(item, id);
      roots.set(id, Bokeh.documents[Bokeh.documents.length - 1].roots()[0]);
    }
    paint();
    document.documentElement.dataset.charts = String(roots.size);
  })();
})();
