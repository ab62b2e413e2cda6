// Attention patterns: the weights are the opacities of an image's pixels. Pointing at one, or stepping to it with the arrow
// keys, reads it out and shades the tokens by what its row, the query, attends to.
for (const group of document.querySelectorAll(".interp-patterns:not([data-ready])")) {
  group.dataset.ready = "";
  const tokens = [...group.querySelectorAll(".interp-tokens span")];
  const reading = group.querySelector(".interp-reading");
  const rest = reading.textContent;
  const count = tokens.length;
  const clear = () => {
    reading.textContent = rest;
    for (const token of tokens) {
      token.style.background = "";
      token.classList.remove("interp-query");
    }
  };
  for (const image of group.querySelectorAll(".interp-pattern img")) {
    const head = image.closest("figure").querySelector("figcaption").textContent;
    let weights;
    let place = [count - 1, 0];
    const weight = (query, key) => {
      if (!weights) {
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = count;
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0, count, count);
        weights = context.getImageData(0, 0, count, count).data;
      }
      return weights[4 * (query * count + key) + 3] / 255;
    };
    const show = (query, key) => {
      place = [query, key].map((at) => Math.min(count - 1, Math.max(0, at)));
      clear();
      tokens.forEach((token, at) => {
        token.style.background = `rgb(47 111 222 / ${weight(place[0], at)})`;
      });
      tokens[place[0]].classList.add("interp-query");
      const [from, to] = place.map((at) => `${at} “${tokens[at].textContent}”`);
      reading.textContent = `${head} — from ${from} to ${to}: ${weight(...place).toFixed(3)}`;
    };
    image.addEventListener("pointermove", (event) => {
      show(Math.floor((event.offsetY / image.clientHeight) * count), Math.floor((event.offsetX / image.clientWidth) * count));
    });
    image.addEventListener("pointerleave", clear);
    image.addEventListener("focus", () => show(...place));
    image.addEventListener("blur", clear);
    image.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      show(place[0] + step[0], place[1] + step[1]);
    });
  }
}
