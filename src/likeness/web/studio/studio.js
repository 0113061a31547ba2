(() => {
  "use strict";
  const all = (what, root = document) => [...root.querySelectorAll(what)];
  const KEY = "likeness-history";

  window.likeness = {
    removed: "",
    unticked: (key) =>
      all(`#${key}-photos input[data-face]:not(:checked):not(:disabled)`).map((one) => one.dataset.face).join(" "),
    history: () => sessionStorage.getItem(KEY) || "[]",
  };

  // The divider, and dragging it on the picture itself.
  const cut = (slider, share) => {
    const value = Math.min(100, Math.max(0, share));
    slider.style.setProperty("--cut", `${value}%`);
    const input = slider.querySelector(".divider");
    input.value = value;
    input.setAttribute("aria-valuetext", `${Math.round(value)} % from the left`);
  };
  const drag = (event) => {
    const stack = event.target.closest(".stack");
    if (!stack || (event.type === "pointermove" && event.buttons !== 1)) return;
    const area = stack.getBoundingClientRect();
    cut(stack.closest(".slider"), (100 * (event.clientX - area.left)) / area.width);
  };
  document.addEventListener("pointerdown", drag);
  document.addEventListener("pointermove", drag);
  document.addEventListener("dragstart", (event) => event.target.closest(".stack") && event.preventDefault());

  document.addEventListener("input", (event) => {
    if (event.target.matches(".slider .divider")) cut(event.target.closest(".slider"), event.target.value);
  });
  document.addEventListener("change", (event) => {
    const one = event.target;
    if (one.matches("input[data-face]"))
      all(`.box[for="${CSS.escape(one.id)}"]`).forEach((box) => box.classList.toggle("off", !one.checked));
    if (one.matches("select.side")) {
      const slider = one.closest(".slider"), left = one.classList.contains("left");
      const picture = slider.querySelector(left ? "img.under" : ".over img"), name = one.selectedOptions[0].text;
      picture.src = one.value;
      picture.alt = name;
      slider.querySelector(left ? ".tag.left" : ".tag.right").textContent = name;
    }
  });
  document.addEventListener("click", (event) => {
    const zoom = event.target.closest(".slider .zoom");
    if (zoom) {
      const full = zoom.closest(".slider").classList.toggle("full");
      zoom.setAttribute("aria-pressed", full);
      zoom.textContent = full ? "Fit" : "Full size";
    }
    const remove = event.target.closest(".photo-card .remove");
    if (remove) {
      window.likeness.removed = remove.dataset.upload;
      const key = remove.closest("[id$=-photos]").id.replace(/-photos$/, "");
      const button = document.getElementById(`${key}-remover`);
      (button.matches("button") ? button : button.querySelector("button")).click();
    }
  });

  // Painting a mask: strokes are kept, so that they can be undone one by one.
  const painting = new WeakMap();
  const strokes = (canvas) => painting.get(canvas) || (painting.set(canvas, []), painting.get(canvas));
  const draw = (canvas) => {
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.lineCap = pen.lineJoin = "round";
    pen.strokeStyle = "#1f6fc0";
    for (const stroke of strokes(canvas)) {
      pen.globalCompositeOperation = stroke.erase ? "destination-out" : "source-over";
      pen.lineWidth = stroke.size;
      pen.beginPath();
      stroke.points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      if (stroke.points.length === 1) pen.lineTo(stroke.points[0][0], stroke.points[0][1]);
      pen.stroke();
    }
    pen.globalCompositeOperation = "source-over";
  };
  const filled = (canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, i) => i % 4 === 3).map((value) => (value > 127 ? 255 : 0));
  };
  const weigh = (canvas) => {
    const mask = filled(canvas), share = (100 * mask.reduce((sum, v) => sum + (v ? 1 : 0), 0)) / mask.length;
    const line = canvas.closest(".painter").querySelector(".share");
    line.textContent = share
      ? `${share < 0.1 ? "Less than 0.1" : share.toFixed(1)} % of the picture is to be filled in`
      : "Nothing is painted yet";
    line.dataset.say = line.textContent;
  };
  const place = (canvas, event) => {
    const area = canvas.getBoundingClientRect();
    return [((event.clientX - area.left) * canvas.width) / area.width, ((event.clientY - area.top) * canvas.height) / area.height];
  };
  const begin = (canvas, point) => {
    const tools = canvas.closest(".painter"), scale = canvas.width / canvas.getBoundingClientRect().width;
    const erase = tools.querySelector("[name=tool]:checked").value === "eraser";
    strokes(canvas).push({ erase, size: tools.querySelector(".brush-size").value * scale, points: [point] });
    draw(canvas);
  };
  const show = (canvas, [x, y]) => {
    const ring = canvas.nextElementSibling, size = canvas.closest(".painter").querySelector(".brush-size").value;
    const scale = canvas.getBoundingClientRect().width / canvas.width;
    canvas.at = [x, y];
    Object.assign(ring.style, { left: `${x * scale}px`, top: `${y * scale}px`, width: `${size}px`, height: `${size}px`, display: "block" });
  };
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.matches(".painter canvas") || event.button) return;
    event.preventDefault();
    event.target.focus({ preventScroll: true });
    event.target.setPointerCapture(event.pointerId);
    begin(event.target, place(event.target, event));
  });
  document.addEventListener("pointermove", (event) => {
    if (!event.target.matches?.(".painter canvas")) return;
    show(event.target, place(event.target, event));
    if (event.buttons !== 1 || !strokes(event.target).length) return;
    strokes(event.target).at(-1).points.push(place(event.target, event));
    draw(event.target);
  });
  document.addEventListener("pointerup", (event) => event.target.matches?.(".painter canvas") && weigh(event.target));
  document.addEventListener("keydown", (event) => {
    if (!event.target.matches?.(".painter canvas")) return;
    const canvas = event.target, step = event.shiftKey ? 2 : 16;
    const [x, y] = canvas.at || [canvas.width / 2, canvas.height / 2];
    const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step], " ": [0, 0] }[event.key];
    if (!by) return;
    event.preventDefault();
    show(canvas, [Math.min(canvas.width, Math.max(0, x + by[0])), Math.min(canvas.height, Math.max(0, y + by[1]))]);
    if (event.key === " ") { begin(canvas, canvas.at); weigh(canvas); }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".painter .undo, .painter .wipe");
    if (!button) return;
    const canvas = button.closest(".painter").querySelector("canvas");
    if (button.matches(".undo")) strokes(canvas).pop();
    else strokes(canvas).length = 0;
    draw(canvas);
    weigh(canvas);
  });
  window.likeness.mask = () => {
    const canvas = document.querySelector(".painter canvas");
    if (!canvas || !strokes(canvas).length) return "";
    const paper = document.createElement("canvas");
    [paper.width, paper.height] = [canvas.width, canvas.height];
    const picture = new ImageData(canvas.width, canvas.height);
    filled(canvas).forEach((value, i) => picture.data.set([value, value, value, 255], 4 * i));
    paper.getContext("2d").putImageData(picture, 0, 0);
    return paper.toDataURL("image/png");
  };

  // Pasted pictures, and those of a dropped folder, go where chosen ones would.
  const hand = (target, files) => {
    const transfer = new DataTransfer();
    files.slice(0, target.multiple ? files.length : 1).forEach((file) => transfer.items.add(file));
    target.files = transfer.files;
    target.dispatchEvent(new Event("change", { bubbles: true }));
  };
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files || [])];
    const target = all(".drop input[type=file]").find((one) => one.closest(".drop").offsetParent !== null);
    if (!files.length || !target) return;
    event.preventDefault();
    hand(target, files);
  });
  const inside = async (entry) => {
    if (entry.isFile) return [await new Promise((good, bad) => entry.file(good, bad))];
    const reader = entry.createReader(), found = [];
    for (;;) {  // a reader gives at most a hundred at once
      const some = await new Promise((good, bad) => reader.readEntries(good, bad));
      if (!some.length) return found;
      for (const one of some) found.push(...(await inside(one)));
    }
  };
  document.addEventListener("drop", (event) => {
    const target = event.target.closest?.(".drop")?.querySelector("input[type=file]");
    const entries = [...(event.dataTransfer?.items || [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!target || !entries.some((entry) => entry.isDirectory)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    Promise.all(entries.map(inside)).then((files) => hand(target, files.flat().filter((file) => !file.name.startsWith("."))));
  }, true);

  // What changes is said once, not at every step; and what gradio leaves without a name gets one.
  const start = () => {
    document.documentElement.lang = "en-GB";
    const live = document.createElement("div");
    live.id = "live";
    live.setAttribute("role", "status");
    live.setAttribute("aria-live", "polite");
    document.body.append(live);
    const said = new WeakMap();
    const look = () => {
      for (const line of all(".status")) {
        const text = all("[data-say]", line).map((one) => one.dataset.say).join(". ");
        if (said.get(line) === text) continue;
        said.set(line, text);
        if (text) live.textContent = text;
      }
      const kept = document.getElementById("likeness-history");
      if (kept && kept.dataset.jobs !== sessionStorage.getItem(KEY)) sessionStorage.setItem(KEY, kept.dataset.jobs);
      for (const button of all(".block > button.upload-container:not([data-named])")) {
        const name = button.parentElement.querySelector("label")?.textContent.trim();
        button.dataset.named = "";
        if (name) button.setAttribute("aria-label", `${name}: ${button.getAttribute("aria-label") || "choose files"}`);
      }
    };
    let soon = 0;
    new MutationObserver(() => { soon ||= requestAnimationFrame(() => { soon = 0; look(); }); })
      .observe(document.body, { childList: true, subtree: true, characterData: true });
    look();
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
