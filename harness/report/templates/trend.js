"use strict";
(() => {
  if (typeof Bokeh === "undefined") return;
  Bokeh.set_log_level("warn");
  const roots = [];

  // The axes' ink follows the page: light, dark or print.
  function paint() {
    const soft = getComputedStyle(document.documentElement).getPropertyValue("--soft").trim();
    for (const root of roots) {
      for (const model of root.references()) {
        if (model.type.endsWith("Axis")) {
          model.setv({major_label_text_color: soft, axis_line_color: soft, major_tick_line_color: soft});
        } else if (model.type === "Grid") {
          model.setv({grid_line_color: soft});
        }
      }
    }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  (async () => {
    for (const {anchor, item} of JSON.parse(document.getElementById("charts").textContent)) {
      await Bokeh.embed.embed_item(item, anchor);
      roots.push(Bokeh.documents[Bokeh.documents.length - 1].roots()[0]);
    }
    paint();
    document.documentElement.dataset.charts = String(roots.length);
  })();
})();
