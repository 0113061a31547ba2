"use strict";
// One viewer for each photo. Magnification and place are CSS variables of the section, so that all its pictures follow.
const GAIN = 4; // how much brighter differences are drawn than they are
const INFERNO = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const RAMP = Array.from({ length: 256 }, (_, i) => {
  const at = (i / 255) * (INFERNO.length - 1), k = Math.min(Math.floor(at), INFERNO.length - 2), t = at - k;
  return INFERNO[k].map((low, c) => Math.round(low + t * (INFERNO[k + 1][c] - low)));
});

function start(photo) {
  const viewer = photo.querySelector(".viewer");
  if (!viewer) return;
  viewer.hidden = false;
  const one = (selector) => viewer.querySelector(selector);
  const a = one("select.a"), b = one("select.b"), look = one("select.look"), divider = one(".divider");
  const left = one(".stage img.a"), right = one(".stage img.b"), stage = one(".stage");
  const ratios = viewer.dataset.ratios.split(" ");
  const place = { zoom: 1, x: 0, y: 0 }; // x, y: the shift in shares of a pane
  const cell = (key) => photo.querySelector(`.cell[data-key="${key}"]`);
  const view = () => (look ? look.value : "0");
  const picture = (key) => cell(key).querySelector(`img[data-view="${view()}"]`);

  function show() {
    const ratio = ratios[Number(view())], [width, height] = ratio.split("/");
    photo.style.setProperty("--ratio", ratio);
    photo.classList.toggle("wide", width / height > 1.3);
    for (const img of photo.querySelectorAll(".cell img[data-view]")) img.hidden = img.dataset.view !== view();
    for (const [select, img, tag] of [[a, left, one(".tag.left")], [b, right, one(".tag.right")]]) {
      img.src = picture(select.value).src;
      img.alt = picture(select.value).alt;
      tag.textContent = select.selectedOptions[0].textContent;
    }
    for (const figure of photo.querySelectorAll(".cell")) {
      figure.classList.toggle("is-a", figure.dataset.key === a.value);
      figure.classList.toggle("is-b", figure.dataset.key === b.value);
    }
    cut();
    difference();
    uncertainty();
  }

  function cut() {
    photo.style.setProperty("--cut", divider.value + "%");
    divider.setAttribute("aria-valuetext", `${Math.round(divider.value)} % from the left`);
  }

  async function difference() {
    const canvas = one(".difference canvas"), caption = one(".difference figcaption");
    const [first, second] = [picture(a.value), picture(b.value)];
    try {
      await Promise.all([first.decode(), second.decode()]);
    } catch {
      caption.textContent = "The difference cannot be drawn here.";
      return;
    }
    if (first !== picture(a.value) || second !== picture(b.value)) return; // chosen anew meanwhile
    const width = (canvas.width = first.naturalWidth), height = (canvas.height = first.naturalHeight);
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const read = (img) => {
      pen.drawImage(img, 0, 0, width, height);
      return pen.getImageData(0, 0, width, height);
    };
    const before = read(first).data, out = read(second), after = out.data;
    let sum = 0;
    for (let i = 0; i < after.length; i += 4) {
      let d = 0;
      for (let c = 0; c < 3; c++) d += Math.abs(after[i + c] - before[i + c]);
      d /= 3;
      sum += d;
      const colour = RAMP[Math.min(255, Math.round(d * GAIN))];
      after[i] = colour[0]; after[i + 1] = colour[1]; after[i + 2] = colour[2]; after[i + 3] = 255;
    }
    pen.putImageData(out, 0, 0);
    const mean = (4 * sum / after.length).toFixed(1);
    caption.textContent = `Difference, |right − left|, ${GAIN} times as bright as it is: brightest from ` +
      `${Math.ceil(255 / GAIN)} of 255 levels on. Mean: ${mean} levels.`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `difference between ${left.alt} and ${right.alt}, mean ${mean} levels`);
  }

  function uncertainty() {
    const figure = one(".uncertainty"), maps = [...cell(b.value).querySelectorAll(".map")];
    const face = view() === "0" ? null : view();
    const map = look ? maps.find((m) => m.dataset.face === face) : maps[0];
    one(".hint").hidden = !maps.length || Boolean(map);
    figure.hidden = !map;
    if (!map) return;
    figure.querySelector("img").src = map.src;
    figure.querySelector("img").alt = map.alt;
    figure.querySelector("figcaption").textContent = "Uncertainty of " + b.selectedOptions[0].textContent +
      (look ? `, face ${map.dataset.face} in the upright frame` : "") +
      ": where its samples differ. Brightest from a standard deviation of 0.1 (26 levels) on.";
  }

  function zoomTo(zoom, at) {
    const next = Math.min(16, Math.max(1, zoom)), share = at || [0.5, 0.5];
    place.x = share[0] - (share[0] - place.x) * (next / place.zoom);
    place.y = share[1] - (share[1] - place.y) * (next / place.zoom);
    place.zoom = next;
    move();
  }

  function move() {
    const bound = (v) => Math.min(0, Math.max(1 - place.zoom, v));
    place.x = bound(place.x);
    place.y = bound(place.y);
    photo.style.setProperty("--zoom", place.zoom);
    photo.style.setProperty("--x", place.x * 100 + "%");
    photo.style.setProperty("--y", place.y * 100 + "%");
    photo.classList.toggle("magnified", place.zoom > 1);
    one(".factor").textContent = place.zoom.toFixed(1) + " ×";
  }

  const home = () => { Object.assign(place, { zoom: 1, x: 0, y: 0 }); move(); };
  const shareOf = (pane, event) => {
    const box = pane.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };

  for (const pane of photo.querySelectorAll(".pane")) {
    const held = new Map(); // pointers that are down
    let sliding = false;
    pane.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !pane.matches(":focus, :focus-within")) return; // the page scrolls
      event.preventDefault();
      zoomTo(place.zoom * Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0025)), shareOf(pane, event));
    }, { passive: false });
    pane.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const share = shareOf(pane, event), near = Math.abs(share[0] * 100 - divider.value) / 100 * pane.clientWidth < 24;
      sliding = pane === stage && held.size === 0 && (near || place.zoom === 1);
      held.set(event.pointerId, [event.clientX, event.clientY]);
      pane.setPointerCapture(event.pointerId);
      if (sliding) slide(share);
    });
    pane.addEventListener("pointermove", (event) => {
      if (!held.has(event.pointerId)) return;
      const last = held.get(event.pointerId), now = [event.clientX, event.clientY], box = pane.getBoundingClientRect();
      const others = [...held.keys()].filter((id) => id !== event.pointerId);
      if (others.length) { // two fingers: the middle stays under them
        const other = held.get(others[0]);
        const far = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
        const middle = { clientX: (now[0] + other[0]) / 2, clientY: (now[1] + other[1]) / 2 };
        zoomTo(place.zoom * far(now) / far(last), shareOf(pane, middle));
        sliding = false;
      } else if (sliding) {
        slide(shareOf(pane, event));
      } else if (place.zoom > 1) {
        place.x += (now[0] - last[0]) / box.width;
        place.y += (now[1] - last[1]) / box.height;
        move();
      }
      held.set(event.pointerId, now);
    });
    for (const end of ["pointerup", "pointercancel"]) pane.addEventListener(end, (event) => held.delete(event.pointerId));
    pane.addEventListener("dragstart", (event) => event.preventDefault());
    pane.addEventListener("dblclick", (event) => (place.zoom > 1 ? home() : zoomTo(3, shareOf(pane, event))));
    pane.addEventListener("keydown", (event) => {
      const step = 0.1, keys = {
        "+": () => zoomTo(place.zoom * 1.5), "=": () => zoomTo(place.zoom * 1.5), "-": () => zoomTo(place.zoom / 1.5),
        "0": home, Escape: home,
        ArrowLeft: () => { place.x += step; move(); }, ArrowRight: () => { place.x -= step; move(); },
        ArrowUp: () => { place.y += step; move(); }, ArrowDown: () => { place.y -= step; move(); },
      };
      const arrow = event.key.startsWith("Arrow");
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey || (arrow && place.zoom === 1)) return;
      event.preventDefault();
      keys[event.key]();
    });
  }

  function slide(share) {
    divider.value = 100 * share[0];
    cut();
  }

  divider.addEventListener("input", cut);
  for (const select of [a, b, look]) if (select) select.addEventListener("change", show);
  one(".in").addEventListener("click", () => zoomTo(place.zoom * 1.5));
  one(".out").addEventListener("click", () => zoomTo(place.zoom / 1.5));
  one(".home").addEventListener("click", home);
  for (const button of photo.querySelectorAll("[data-pick]")) {
    button.addEventListener("click", () => {
      (button.dataset.pick === "a" ? a : b).value = button.closest(".cell").dataset.key;
      show();
    });
  }
  show();
  move();
}

// A photo starts when it is nearly in sight: decoding hundreds of pictures at once would hold up the first.
const sight = new IntersectionObserver((seen) => {
  for (const entry of seen) {
    if (!entry.isIntersecting) continue;
    sight.unobserve(entry.target);
    start(entry.target);
  }
}, { rootMargin: "600px" });
for (const photo of document.querySelectorAll(".photo")) {
  const viewer = photo.querySelector(".viewer");
  if (viewer) {
    viewer.hidden = false;
    photo.style.setProperty("--ratio", viewer.dataset.ratios.split(" ")[0]);
    sight.observe(photo);
  }
}
