"use strict";
(() => {
  const $ = (selector) => [...document.querySelectorAll(selector)];
  const json = (id) => JSON.parse(document.getElementById(id).textContent);
  const words = json("words");
  const plots = json("plots");
  const buttons = $("[data-language]");
  const languages = buttons.map((button) => button.dataset.language);

  // Some browsers refuse storage to pages opened from a file; the choice then lasts as long as the page.
  const remembered = () => { try { return localStorage.getItem("shosei.language"); } catch { return null; } };
  const remember = (language) => { try { localStorage.setItem("shosei.language", language); } catch { /* see above */ } };

  function preferred() {
    if ("chosen" in document.documentElement.dataset) return document.documentElement.lang;
    if (languages.includes(remembered())) return remembered();
    for (const wanted of navigator.languages ?? []) {
      const found = languages.find((language) => language.split("-")[0] === wanted.split("-")[0]);
      if (found) return found;
    }
    return "en";
  }

  const said = (phrase) => (typeof phrase === "number" ? words[phrase][languages.indexOf(document.documentElement.lang)] : phrase);

  function speak(language) {
    document.documentElement.lang = language;
    for (const element of $("[data-t]")) element.textContent = said(Number(element.dataset.t));
    for (const name of ["aria-label", "title"]) {
      for (const element of $(`[data-t-${name}]`)) element.setAttribute(name, said(Number(element.getAttribute(`data-t-${name}`))));
    }
    for (const button of buttons) button.ariaPressed = String(button.dataset.language === language);
  }

  const whole = Array.from({ length: 10 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();
  const dashes = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
  const cssDashes = ["solid", "dashed", "dotted", "double"];
  // Six colours and four dashes: no two of 24 curves look alike, and neighbours differ without colour.
  const dashOf = (index) => (index + Math.floor(index / 6)) % 4;
  const drawn = new Map();

  function draw(figure) {
    const plot = plots[figure.dataset.plot];
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = {
      stroke: color("muted"), font: `12px ${style.fontFamily}`, labelFont: `12px ${style.fontFamily}`,
      grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1 },
    };
    const bars = plot.kind === "bars" ? { paths: uPlot.paths.bars({ size: [1, Infinity], align: 1, gap: 1 }), points: { show: false }, width: 0 } : {};
    const series = plot.curves.map((curve, index) => ({
      label: said(curve.label), stroke: color(`curve-${index % 6}`), width: 2, dash: dashes[dashOf(index)], spanGaps: false,
      fill: plot.kind === "bars" ? color(`curve-${index % 6}`) : undefined, ...bars,
      value: (_, value) => (value == null ? "–" : String(Number(value.toPrecision(4)))),
    }));
    // Epochs and steps come whole: no tick stands between two of them.
    const wholeSteps = plot.x.every(Number.isInteger) ? { incrs: whole } : {};
    drawn.get(figure)?.destroy();
    drawn.set(figure, new uPlot({
      width: figure.clientWidth, height: 240,
      scales: { x: { time: false } },
      axes: [{ ...axis, label: said(plot.x_label), labelSize: 18, ...wholeSteps }, { ...axis, label: said(plot.y_label), labelSize: 18, size: 60 }],
      series: [{ label: said(plot.x_label), value: (_, value) => (value == null ? "–" : String(value)) }, ...series],
      legend: { markers: { width: 2, dash: (_, index) => cssDashes[dashOf(index - 1)] } },
      cursor: { drag: { x: true, y: false } },
    }, [plot.x, ...plot.curves.map((curve) => curve.y)], figure));
    figure.classList.add("drawn");
  }

  for (const details of $("details.cell")) {
    details.addEventListener("toggle", () => {
      if (details.open) details.querySelectorAll("[data-plot]").forEach((figure) => drawn.has(figure) || draw(figure));
    });
  }
  const redraw = () => drawn.forEach((_, figure) => { if (figure.clientWidth) draw(figure); });
  for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", redraw);
  let pending = 0;
  addEventListener("resize", () => { cancelAnimationFrame(pending); pending = requestAnimationFrame(redraw); });

  for (const button of buttons) {
    button.addEventListener("click", () => { speak(button.dataset.language); remember(button.dataset.language); redraw(); });
  }
  document.querySelector(".languages").hidden = false;
  speak(preferred());

  const all = document.querySelector(".all");
  all.hidden = false;
  all.addEventListener("click", () => {
    const open = all.ariaPressed !== "true";
    all.ariaPressed = String(open);
    for (const details of $("details.cell, details.strip")) details.open = open;
  });

  // A link to one cell opens it, and what it is folded away in.
  const target = () => {
    const cell = document.getElementById(location.hash.slice(1));
    if (!cell?.matches("details")) return;
    for (let details = cell; details; details = details.parentElement.closest("details")) details.open = true;
    cell.scrollIntoView();
  };
  addEventListener("hashchange", target);
  target();
})();
