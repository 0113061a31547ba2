"use strict";
// Arrow keys and space answer; one answer is sent once. The page works without this.
(() => {
  const form = document.querySelector("form.pair");
  const choices = { ArrowLeft: "left", ArrowRight: "right", " ": "same" };
  let sent = false;
  addEventListener("pageshow", () => { sent = false; });
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    sent = true;
  });
  addEventListener("keydown", (event) => {
    const choice = choices[event.key];
    if (!choice || event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    if (event.key === " " && event.target.closest("button, a")) return; // space presses what has the focus
    event.preventDefault();
    if ([...document.images].every((image) => image.complete)) form.querySelector(`button[value=${choice}]`).click();
  });
})();
