"use strict";
(() => {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    });
  }

  const opened = [];
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details[data-print]:not([open])")) {
      details.open = true;
      opened.push(details);
    }
    paint();
  });
  addEventListener("afterprint", () => {
    for (const details of opened.splice(0)) details.open = false;
    paint();
  });

  const source = document.getElementById("charts");
  if (source === null || typeof Bokeh === "undefined") return;
  Bokeh.set_log_level("warn");
  const roots = new Map();

  // The axes' ink follows the page: light, dark or print.
  function paint() {
    const style = getComputedStyle(document.documentElement);
    const soft = style.getPropertyValue("--soft").trim();
    const card = style.getPropertyValue("--card").trim();
    for (const root of roots.values()) {
      for (const model of root.references()) {
        if (model.type === "LinearAxis" || model.type === "CategoricalAxis") {
          model.setv({axis_label_text_color: soft, major_label_text_color: soft, axis_line_color: soft, major_tick_line_color: model.type === "LinearAxis" ? soft : null});
        } else if (model.type === "Grid") {
          model.setv({grid_line_color: soft});
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
      const root = roots.get(button.dataset.chart);
      if (root === undefined) return;
      for (const model of root.references()) {
        if (model.type === "GlyphRenderer" && model.name === button.dataset.line) model.visible = show;
      }
    });
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  (async () => {
    for (const {anchor, item} of JSON.parse(source.textContent)) {
      await Bokeh.embed.embed_item(item, `${anchor}-chart`);
      const documents = Bokeh.documents;
      roots.set(anchor, documents[documents.length - 1].roots()[0]);
    }
    paint();
    document.documentElement.dataset.charts = String(roots.size);
  })();
})();
