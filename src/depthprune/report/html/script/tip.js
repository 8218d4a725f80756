// One tip for everything that has more to say: by pointer and by focus; Escape hides it.
const TIP = byId("tip");

function showTip(anchor, parts) {
  TIP.replaceChildren(...parts);
  TIP.hidden = false;
  const at = anchor.getBoundingClientRect();
  const own = TIP.getBoundingClientRect();
  const room = { width: document.documentElement.clientWidth, height: window.innerHeight };
  const below = at.bottom + 10;
  const above = at.top - own.height - 10;
  const top = below + own.height <= room.height ? below : Math.max(8, above);
  const left = Math.min(Math.max(8, at.left), room.width - own.width - 8);
  TIP.style.left = Math.max(8, left) + "px";
  TIP.style.top = top + "px";
}

function hideTip() {
  TIP.hidden = true;
}

// `content` returns what an element's tip shows, or null; `anchor` the place of the tip.
function tipped(container, content, anchor = (node) => node) {
  const over = (event) => {
    const parts = content(event.target);
    if (parts) showTip(anchor(event.target), parts);
    else hideTip();
  };
  container.addEventListener("pointerover", over);
  container.addEventListener("focusin", (event) => {
    if (event.target.matches(":focus-visible")) over(event);
  });
  container.addEventListener("pointerleave", hideTip);
  container.addEventListener("focusout", hideTip);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
});
document.addEventListener("scroll", hideTip, { capture: true, passive: true });
