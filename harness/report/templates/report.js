"use strict";
(() => {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    });
  }

  // What scrolls sideways can be reached by keyboard.
  const sized = new ResizeObserver((entries) => {
    for (const {target: card} of entries) {
      if (card.scrollWidth > card.clientWidth) card.tabIndex = 0;
      else card.removeAttribute("tabindex");
    }
  });
  for (const card of document.querySelectorAll(".card, .by > details")) sized.observe(card);

  const opened = [];
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details[data-print]:not([open])")) {
      details.open = true;
      opened.push(details);
    }
  });
  addEventListener("afterprint", () => {
    for (const details of opened.splice(0)) details.open = false;
  });

  // Messages one by one: a page of them at a time, found by any text in them, each opening its life.
  const PAGE = 20;
  const made = (tag, text, ...classes) => {
    const element = document.createElement(tag);
    element.textContent = text;
    element.classList.add(...classes);
    return element;
  };
  function life(texts, row) {
    const list = made("ol", "", "life");
    for (let place = 2; place < row.length; place += 4) {
      const item = document.createElement("li");
      item.append(made("time", `${row[place].toFixed(4)} s`));
      for (const number of row.slice(place + 1, place + 4)) item.append(made("span", texts[number]));
      list.append(item);
    }
    return list;
  }
  function listing(box, {texts, rows}) {
    const [search, previous, next] = ["input", "[data-step='-1']", "[data-step='1']"].map((each) => box.querySelector(each));
    const list = box.querySelector(".messages");
    const status = box.querySelector("[role=status]");
    let found = rows;
    let first = 0;
    function show() {
      list.replaceChildren(...found.slice(first, first + PAGE).map((row) => {
        const details = document.createElement("details");
        const summary = document.createElement("summary");
        summary.append(made("code", texts[row[0]]), " ", made("span", texts[row[1]], "soft"));
        details.append(summary);
        details.addEventListener("toggle", () => { if (details.children.length < 2) details.append(life(texts, row)); });
        const item = document.createElement("li");
        item.append(details);
        return item;
      }));
      const last = Math.min(first + PAGE, found.length);
      status.textContent = found.length === 0 ? "none found" : `${first + 1} to ${last} of ${found.length.toLocaleString("en")}`;
      previous.disabled = first === 0;
      next.disabled = last >= found.length;
    }
    search.addEventListener("input", () => {
      const wanted = search.value.toLowerCase();
      const hits = new Set(texts.flatMap((text, number) => text.toLowerCase().includes(wanted) ? [number] : []));
      const named = (row) => row.some((number, place) => (place < 2 || place % 4 !== 2) && hits.has(number));
      found = wanted === "" ? rows : rows.filter(named);
      first = 0;
      show();
    });
    for (const button of [previous, next]) {
      button.addEventListener("click", () => {
        first += PAGE * Number(button.dataset.step);
        show();
      });
    }
    box.hidden = false;
    show();
  }
  const lists = JSON.parse(document.getElementById("lists").textContent);
  for (const box of document.querySelectorAll("[data-list]")) listing(box, lists[box.dataset.list]);
})();
